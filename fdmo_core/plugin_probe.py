"""Import one plugin in a process of its own, with a time limit, and report what it does there.

``python -m fdmo_core.plugin_probe`` is the other side: it answers on the standard output that it
was started with, and gives the plugin another one.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, NoReturn

from fdmo_core.global_state import changed_since, read_global_state
from fdmo_core.plugin_candidates import Candidate, find_candidate, find_candidates
from fdmo_core.plugin_import import own_line
from fdmo_core.plugin_loading import components_of, failure_of
from fdmo_core.plugin_selection import PluginSelection

READY = "ready"
GRACE = 5.0  # seconds for the other side to say itself that the time is over


@dataclass(frozen=True)
class PluginReport:
    """What came of importing a plugin and calling its hooks.

    Attributes:
        plugin: Its name.
        distribution: That it comes from.
        version: Of the distribution.
        seconds: From the first line of the plugin to its last hook; torch and fdmo_core were
            imported before.
        timed_out: Whether it was stopped at the time limit.
        stdout: What was written to standard output.
        changed: The global state that is not as before; see :mod:`fdmo_core.global_state`.
        components: Names of the components that it supplies.
        error: Why it cannot be loaded, on one line; empty where it can.
        place: File and line in the plugin's own code where it fails or hangs, if known.
    """

    plugin: str
    distribution: str
    version: str
    seconds: float = 0.0
    timed_out: bool = False
    stdout: str = ""
    changed: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    error: str = ""
    place: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether it loads, in time, and leaves the process as it was."""
        return not (self.error or self.timed_out or self.stdout or self.changed)


def probe(name: str, distribution: str, *, seconds: float = 20.0) -> PluginReport:
    """Import a plugin in a fresh process and return what it does there.

    Args:
        name: Of the plugin, as messages report it.
        distribution: That it comes from.
        seconds: After which it is stopped; torch's own import does not count.

    Raises:
        PluginError: There is no such plugin.
    """
    candidate = _find(name, distribution)
    paths = os.pathsep.join(one or str(Path.cwd()) for one in sys.path)
    command = [sys.executable, "-P", "-m", "fdmo_core.plugin_probe"]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(
            [*command, name, distribution, str(seconds)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": paths},
        ) as process,
    ):
        assert process.stdout is not None
        answer = _answer(process.stdout, process, seconds)
        code = process.wait()
        said.seek(0)
        last = " ".join(said.read().strip().rpartition("\n")[2].split())
    if answer:
        return _from_json(answer)
    return _silent(candidate, seconds, code, last)


def _find(name: str, distribution: str) -> Candidate:
    folders = PluginSelection.from_environ(os.environ).folders
    return find_candidate(name, distribution, find_candidates(folders))


def _answer(channel: IO[str], process: "subprocess.Popen[str]", seconds: float) -> str:
    """Return the line that the other side answers, empty if it is stopped or ends without one."""
    if channel.readline().strip() != READY:
        return ""
    killer = threading.Timer(seconds + GRACE, process.kill)
    killer.start()
    try:
        return channel.readline()
    finally:
        killer.cancel()


def _from_json(answer: str) -> PluginReport:
    fields: dict[str, Any] = json.loads(answer)
    lists = {name: tuple(fields[name]) for name in ("changed", "components")}
    return PluginReport(**{**fields, **lists})


def _silent(candidate: Candidate, seconds: float, code: int, last: str) -> PluginReport:
    """Return the report on a plugin whose process was killed or ended itself."""
    report = _blank(candidate)
    if code == -9:
        return replace(report, seconds=seconds, timed_out=True)
    ending = f", and last wrote: {last}" if last else ""
    return replace(report, error=f"The process that imports it ends with code {code}{ending}")


def _blank(candidate: Candidate) -> PluginReport:
    return PluginReport(candidate.name, candidate.distribution, candidate.version)


def _main(name: str, distribution: str, limit: str) -> NoReturn:
    """Import the plugin and answer with a report; the process ends here."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    written = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the process
    os.dup2(written.fileno(), 1)
    candidate = _find(name, distribution)
    before = read_global_state()
    importer = threading.get_ident()

    def answer(report: PluginReport) -> NoReturn:
        sys.stdout.flush()
        written.seek(0)
        text = written.read().decode("utf-8", "replace")
        print(json.dumps(asdict(replace(report, stdout=text))), file=channel, flush=True)
        os._exit(0)  # without the threads that the plugin may have left, and torch's farewell

    def stop() -> None:
        frames = [*traceback.walk_stack(sys._current_frames()[importer])][::-1]
        place = own_line(frames, candidate)
        report = replace(_blank(candidate), seconds=float(limit), timed_out=True, place=place)
        answer(report)

    print(READY, file=channel, flush=True)
    timer = threading.Timer(float(limit), stop)
    timer.start()
    started = time.perf_counter()
    report = _blank(candidate)
    try:
        report = replace(report, components=tuple(components_of(candidate, {})))
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        failure = failure_of(candidate, error)
        report = replace(report, error=failure.reason, place=failure.place)
    seconds = time.perf_counter() - started
    timer.cancel()
    answer(replace(report, seconds=seconds, changed=changed_since(before)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
