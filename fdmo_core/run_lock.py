"""One process writes a run folder at a time; the lock of a process that is gone does not count."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from fdmo_core.errors import RunFolderError
from fdmo_core.files import cannot_write, write_json
from fdmo_core.json_files import read_json

LOCK_FILE = "lock.json"
GUARD_FILE = ".lock"  # held for the moment in which the lock is looked at and taken


class Owner(NamedTuple):
    """Which process holds a lock.

    The system's start and the process's, counted from there, tell it from another process of the
    same number, whatever the clock says.

    Attributes:
        host: Name of the machine.
        pid: Number of the process.
        boot: Which start of the system; "" where it has no such mark.
        started: When the process started, in ticks since that; 0 where it cannot be known.
        since: When the lock was taken, for people.
    """

    host: str
    pid: int
    boot: str
    started: int
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    def is_alive(self) -> bool:
        """Whether the process runs; one of another machine, of which nobody knows, does."""
        if self.host != platform.node():
            return True
        if self.boot != _boot() or _started(self.pid) != self.started:
            return False
        if os.name == "nt":  # where os.kill ends the process that it is asked about
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it is another user's
            return True
        return True


def this_process() -> Owner:
    """Return the process that asks."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return Owner(platform.node(), os.getpid(), _boot(), _started(os.getpid()), since)


def read_owner(folder: Path) -> Owner | None:
    """Return who holds the lock of a run folder; None if nobody does.

    Raises:
        RunFolderError: The lock cannot be read.
    """
    file = folder / LOCK_FILE
    try:
        content = read_json(file)
        owner = Owner(
            str(content["host"]),
            int(content["pid"]),
            str(content["boot"]),
            int(content["started"]),
            str(content["since"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise RunFolderError(
            f"{file} cannot be read: {error!r}. Expected the name of the process that writes the "
            f"run. If none does, remove the file."
        ) from error
    return owner if owner.is_alive() else None


@contextmanager
def locked_run(folder: Path) -> Iterator[None]:
    """Keep other processes from writing a run folder inside the block.

    Raises:
        RunFolderError: Another process writes it, or the folder cannot be written to.
    """
    file = folder / LOCK_FILE
    try:
        folder.stat()  # FileLock would make it
        with FileLock(folder / GUARD_FILE):
            owner = read_owner(folder)
            if owner is not None:
                raise RunFolderError(
                    f"{folder} is being written by {owner}. Expected no other process. Wait for "
                    f"it, or stop it. If that machine is gone, remove {file}."
                )
            write_json(file, this_process()._asdict())
    except OSError as error:
        raise cannot_write(file, error) from error
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> int:
    """Return when a process started, in ticks since the system did; 0 if that is not known."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
