"""What a run tells while it runs: a line in log.jsonl for each step, and the same to the screen."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TextIO

from fdmo_core.errors import TrainingError
from fdmo_core.files import cannot_write
from fdmo_core.stopping import StopRequest


class Progress(NamedTuple):
    """How far one phase of a run has come.

    Attributes:
        phase: Such as ``"phase1"``.
        done: Steps done, from 1.
        total: Steps in all.
        terms: Losses and other figures of the last step.
    """

    phase: str
    done: int
    total: int
    terms: dict[str, float]


class Journal:
    """Writes a run's log and shows its progress.

    Args:
        path: The log file, to which lines are added; None writes none.
        show: Told every progress.
        say: Told every notice, a sentence for the person who waits.
        stop: Whether the run was asked to stop.

    Raises:
        RunFolderError: The log cannot be written, for instance because the disk is full.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        show: Callable[[Progress], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
        stop: StopRequest | None = None,
    ) -> None:
        try:
            self._file = None if path is None else _open_log(path)
        except OSError as error:
            raise cannot_write(Path(str(path)), error) from error
        self._show = show
        self._say = say
        self._stop = stop or StopRequest()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with suppress(OSError):  # lines are flushed as they come; one that cannot be was told
                self._file.close()

    def step(self, phase: str, index: int, total: int, terms: Mapping[str, float]) -> None:
        """Record one step of a phase; ``index`` counts from 0.

        Raises:
            TrainingError: A term is infinite or NaN.
        """
        wrong = {name: term for name, term in terms.items() if not math.isfinite(term)}
        if wrong:
            named = ", ".join(f"{name} is {term}" for name, term in wrong.items())
            raise TrainingError(
                f"Step {index} of {phase} diverged: {named}. Expected finite numbers. Lower the "
                f"learning rate of {phase} (phase1.learning_rate; rebalancer.learning_rate and "
                f"generator.learning_rate)."
            )
        self._write({"phase": phase, "step": index, "of": total, **terms})
        self._show(Progress(phase, index + 1, total, dict(terms)))

    def progress(self, phase: str, done: int, total: int) -> None:
        """Show how far something has come that has no terms, without a line in the log.

        Raises:
            Interrupted: The run was asked to stop, and nothing is to be saved here.
        """
        self._show(Progress(phase, done, total, {}))
        self._stop.obey(f"at {done} of {total} of {phase}")

    def notice(self, text: str) -> None:
        """Record and show a sentence."""
        self._write({"notice": text})
        self._say(text)

    def record(self, line: Mapping[str, Any]) -> None:
        """Record figures that are shown to nobody; as JSON knows them."""
        self._write(dict(line))

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({"time": round(time.time(), 3), **line}) + "\n")
            self._file.flush()
        except OSError as error:
            raise cannot_write(Path(self._file.name), error) from error


def _open_log(path: Path) -> TextIO:
    """Open a log to add lines to it, without the half line that a kill may have left."""
    if not path.is_file():
        return path.open("a", encoding="utf-8")
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 2**16)
            file.seek(start)
            last = file.read(end - start).rfind(b"\n")
            if last >= 0:
                end = start + last + 1
                break
            end = start
        file.truncate(end)
    return path.open("a", encoding="utf-8")
