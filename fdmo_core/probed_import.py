"""The process in which :mod:`fdmo_core.plugin_probe` imports a plugin: ``python -m`` runs it.

It answers on the standard output that it was started with, and gives the plugin another one.
"""

import io
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from types import FrameType
from typing import Any, NoReturn

from fdmo_core.global_state import changed_since, read_global_state
from fdmo_core.plugin_candidates import Candidate
from fdmo_core.plugin_import import own_line
from fdmo_core.plugin_loading import components_of, failure_of
from fdmo_core.plugin_probe import READY, PluginReport, find


class _Output(io.TextIOWrapper):
    """Standard output for a plugin, which notes the line that first writes to it."""

    def __init__(self, candidate: Candidate) -> None:
        self.kept = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the process
        os.dup2(self.kept.fileno(), 1)
        super().__init__(os.fdopen(1, "wb", 0, closefd=False), "utf-8", write_through=True)
        self.candidate = candidate
        self.place = ""

    def write(self, text: str) -> int:
        """Write a text; see :class:`io.TextIOWrapper`."""
        self.place = self.place or _line_of(sys._getframe(), self.candidate)
        return super().write(text)

    def written(self) -> str:
        """Return everything that came, from other code than Python's too."""
        self.kept.seek(0)
        return self.kept.read().decode("utf-8", "replace")


def _line_of(frame: FrameType, candidate: Candidate) -> str:
    return own_line([*traceback.walk_stack(frame)][::-1], candidate)


class _Tracer:
    """Notes after which line of a plugin the global state is not as before."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate, self._before = candidate, read_global_state()
        self._last = self.place = ""

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        """Take part in :func:`sys.settrace`."""
        line = own_line([(frame, frame.f_lineno)], self._candidate)
        if not line:
            return None
        if not self.place and changed_since(self._before):
            self.place = self._last
        self._last = line
        return self


@contextmanager
def _traced(tracer: _Tracer) -> Iterator[None]:
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(None)


def main(name: str, distribution: str, limit: str, traced: str) -> NoReturn:
    """Import the plugin, call its hooks and answer with a report; the process ends here."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    candidate = find(name, distribution)
    sys.stdout = output = _Output(candidate)
    importer = threading.get_ident()

    def answer(report: PluginReport) -> NoReturn:
        said = replace(report, stdout=output.written())
        print(json.dumps(asdict(said)), file=channel, flush=True)
        os._exit(0)  # without the threads that the plugin may have left, and torch's farewell

    def stop() -> None:
        place = _line_of(sys._current_frames()[importer], candidate)
        late = replace(PluginReport.on(candidate), seconds=float(limit), timed_out=True)
        answer(replace(late, place=place or late.place))

    tracer = _Tracer(candidate) if traced else None
    before = read_global_state()
    print(READY, file=channel, flush=True)
    timer = threading.Timer(float(limit), stop)
    timer.daemon = True
    timer.start()
    with _traced(tracer) if tracer else nullcontext():
        report = _imported(candidate)
    timer.cancel()
    changed = changed_since(before)
    place = report.place if report.error else (tracer and tracer.place) or output.place
    answer(replace(report, changed=changed, place=place or report.place))


def _imported(candidate: Candidate) -> PluginReport:
    report = PluginReport.on(candidate)
    started = time.perf_counter()
    try:
        report = replace(report, components=tuple(components_of(candidate, {})))
    except BaseException as error:  # a stranger's code may raise anything
        failure = failure_of(candidate, error)
        report = replace(report, error=failure.reason, place=failure.place)
    return replace(report, seconds=time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
