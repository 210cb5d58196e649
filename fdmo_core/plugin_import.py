"""Around the import of a plugin: stdout stays clean, a slow one is named, an error has a place."""

import os
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType

from fdmo_core.plugin_candidates import Candidate

SLOW_SECONDS = 5.0
LONGEST_REASON = 1000  # characters


@contextmanager
def guarded(candidate: Candidate, *, slow_after: float = SLOW_SECONDS) -> Iterator[None]:
    """Send what the block writes to stdout to stderr, and name the plugin there if it is slow.

    Args:
        candidate: The plugin that is imported in the block.
        slow_after: Seconds; fdmo's own plugins are not named.
    """
    path = list(sys.path)
    try:
        with _stdout_to_stderr(), _named_if_slow(candidate, slow_after):
            yield
    finally:
        sys.path.extend(one for one in path if one not in sys.path)  # others are found by it


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Redirect the descriptor too, for code that is not Python's and for child processes."""
    out, err = sys.stdout, sys.stderr
    if out is None or err is None:  # closed: nothing can be written to it
        yield
        return
    out.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(err):
            yield
        out.flush()
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def _named_if_slow(candidate: Candidate, seconds: float) -> Iterator[None]:
    if candidate.is_own:
        yield
        return
    message = (
        f"Still importing plugin '{candidate.name}' of {candidate.distribution} after "
        f"{seconds:g} s. 'fdmo plugins doctor' says why; '--no-plugin "
        f"{candidate.distribution}' leaves it out."
    )
    timer = threading.Timer(seconds, print, (message,), {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def shown(reason: str) -> str:
    """Return a stranger's words on one line of bearable length, without control characters."""
    line = " ".join("".join(one if one.isprintable() else " " for one in reason).split())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]} ..."


def place_of(error: BaseException, candidate: Candidate) -> str:
    """Return file and line of the deepest frame of an error in the plugin's own code.

    Of an error that no line of the plugin raised, such as a misspelt hook, only the file is known;
    of a plugin without a file, nothing.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return _place(error.filename, error.lineno)
    deepest = own_line(traceback.walk_tb(error.__traceback__), candidate)
    return deepest or _place(candidate.file(), None)


def own_line(frames: Iterable[tuple[FrameType, int]], candidate: Candidate) -> str:
    """Return file and line of the last of some frames that is the plugin's own code."""
    roots = candidate.roots()
    own = [
        (frame.f_code.co_filename, line)
        for frame, line in frames
        if any(Path(frame.f_code.co_filename).is_relative_to(root) for root in roots)
    ]
    return _place(*own[-1]) if own else ""


def _place(file: str | Path | None, line: int | None) -> str:
    if file is None:
        return ""
    return f"{file}, line {line}" if line is not None else str(file)
