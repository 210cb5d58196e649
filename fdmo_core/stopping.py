"""A run that is asked to stop, by Ctrl-C, ``kill`` or a scheduler, saves where it is first."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 2.0  # seconds in which a signal that comes again is the same wish: torchrun repeats it
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The run was asked to stop, and did.

    No error, so that nothing that deals with errors keeps it from its end.

    Attributes:
        signal: Number of the signal; the command's exit code is 128 more.
    """

    def __init__(self, number: int, where: str) -> None:
        super().__init__(f"Stopped by {signal.Signals(number).name} {where}.")
        self.signal = number


class StopRequest:
    """Whether the run was asked to stop; looked at where it can stop without a loss."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._asked_at = 0.0

    def obey(self, where: str) -> None:
        """Raise :class:`Interrupted` if the run was asked to stop.

        Args:
            where: Such as ``"after step 3 of phase1"``.
        """
        if self.signal is not None:
            raise Interrupted(self.signal, where)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; the second one stops at once."""
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._asked_at = number, now
            os.write(2, b"\nStopping as soon as the step is done. Once more to stop at once.\n")
        elif now - self._asked_at > PATIENCE:
            raise Interrupted(number, "at once")


@contextmanager
def stopping_on_signals() -> Iterator[StopRequest]:
    """Yield what SIGINT and SIGTERM set inside the block, instead of what they do otherwise.

    Outside the main thread, where Python takes no signals, they do what they do otherwise.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {one: signal.signal(one, request.receive) for one in SIGNALS}
    try:
        yield request
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
