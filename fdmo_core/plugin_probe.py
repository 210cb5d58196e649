"""Import one plugin in a process of its own, with a time limit, and report what it does there."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fdmo_core.component_origins import describe_origin
from fdmo_core.plugin_candidates import Candidate, find_candidate, find_candidates
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
        place: File and line in the plugin's own code where it fails, hangs, first changes global
            state or first writes to standard output, as far as they are known.
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

    @classmethod
    def on(cls, candidate: Candidate) -> "PluginReport":
        """Return the report on a plugin of which only the file is known yet."""
        place = str(candidate.file() or "")
        return cls(candidate.name, candidate.distribution, candidate.version, place=place)

    @property
    def origin(self) -> str:
        """Distribution and version, as messages name them."""
        return describe_origin(self.distribution, self.version)

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
    candidate = find(name, distribution)
    report = _run(candidate, seconds, traced=False)
    if report.changed:  # where, is seen line by line, which takes longer
        report = replace(report, place=_run(candidate, seconds, traced=True).place)
    return report


def find(name: str, distribution: str) -> Candidate:
    """Return the plugin of a name and a distribution, whether or not it is to be loaded.

    Raises:
        PluginError: There is none.
    """
    folders = PluginSelection.from_environ(os.environ).folders
    return find_candidate(name, distribution, find_candidates(folders))


def _run(candidate: Candidate, seconds: float, *, traced: bool) -> PluginReport:
    """Return the report of :mod:`fdmo_core.probed_import`, or on how it ended without one."""
    arguments = [candidate.name, candidate.distribution, str(seconds), "traced" if traced else ""]
    paths = os.pathsep.join(one or str(Path.cwd()) for one in sys.path)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "fdmo_core.probed_import", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": paths},
        ) as process,
    ):
        answer, is_late = _answer(process, seconds)
        code = process.wait()
        said.seek(0)
        last = " ".join(said.read().strip().rpartition("\n")[2].split())
    if answer:
        return _from_json(answer)
    blank = PluginReport.on(candidate)
    if is_late:
        return replace(blank, seconds=seconds, timed_out=True)
    ending = f", and last wrote: {last}" if last else ""
    return replace(blank, error=f"The process that imports it ends with code {code}{ending}")


def _answer(process: "subprocess.Popen[str]", seconds: float) -> tuple[str, bool]:
    """Return the line that the process answers, and whether it was killed for being late."""
    assert process.stdout is not None
    if process.stdout.readline().strip() != READY:
        return "", False
    killer = threading.Timer(seconds + GRACE, process.kill)
    killer.start()
    try:
        return process.stdout.readline(), killer.finished.is_set()
    finally:
        killer.cancel()


def _from_json(answer: str) -> PluginReport:
    fields: dict[str, Any] = json.loads(answer)
    lists = {name: tuple(fields[name]) for name in ("changed", "components")}
    return PluginReport(**{**fields, **lists})
