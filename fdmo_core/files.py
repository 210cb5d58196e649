"""Files that are whole or absent: written under a temporary name, then renamed.

Both the bytes and the new name are on the disk before a writer returns, so that a machine that
loses its power leaves the old file or the new one as well.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from fdmo_core.errors import RunFolderError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def replacing(path: Path, *, num_bytes: int = 0) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it to ``path`` when the block succeeds.

    Args:
        path: The file.
        num_bytes: How many the file will have, if that is known; a full disk is told by it.

    Raises:
        RunFolderError: The file cannot be written, for instance because the disk is full.
    """
    require_no_device(path)
    start = os.fsdecode(os.fsencode(path.name)[:100])  # a name may have 255 bytes in all
    temporary = path.with_name(f".{start}.{os.getpid()}.tmp")
    try:
        yield temporary
        reach_disk(temporary)
        temporary.replace(path)
        reach_disk(path.parent)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):  # now, so that what it took counts as free
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error, num_bytes=num_bytes) from error
    finally:
        with suppress(OSError):  # told above, for instance that the folder is a file
            temporary.unlink(missing_ok=True)


def remove_left_over(folder: Path) -> None:
    """Remove what writers that were killed left in a folder and those below; none may be alive."""
    for path in folder.rglob(".*.tmp"):
        if path.is_file():
            path.unlink()


def reach_disk(path: Path) -> None:
    """Return when a file's bytes, or a folder's names, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folder
    descriptor = os.open(path, os.O_RDWR if path.is_file() and os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_no_device(path: Path) -> None:
    """Raise a RunFolderError if a device or a pipe is there, which a rename would replace."""
    try:
        is_there = path.exists()
    except OSError as error:
        raise cannot_write(path, error) from error
    if is_there and not (path.is_file() or path.is_dir()):
        raise RunFolderError(
            f"{path} is a device or a pipe. Expected the name of a file, for what is there is "
            f"replaced. Choose another name."
        )


def cannot_write(path: Path, error: Exception, *, num_bytes: int = 0) -> RunFolderError:
    """Return the error that says that a file could not be written, and why.

    Args:
        path: The file.
        error: What was raised.
        num_bytes: How many the file was to have; 0 if nobody knows.
    """
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return RunFolderError(
        f"Cannot write {path}: {reason}. {_missing(path, error, num_bytes)}Expected a writable "
        f"folder with enough free space. Free some space or choose another folder with --out."
    )


def _missing(path: Path, error: Exception, num_bytes: int) -> str:
    """Return how much a full disk lacks, where that is known."""
    number = getattr(error, "errno", None)
    is_full = number in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)
    if not (is_full and num_bytes):
        return ""
    free = shutil.disk_usage(path.parent).free
    told = f"It needs {readable_size(num_bytes)}, and {readable_size(free)} are free"
    lacks = f": {readable_size(num_bytes - free)} are missing. " if num_bytes > free else ". "
    return told + lacks


def readable_size(num_bytes: float) -> str:
    """Return a number of bytes as a person reads it."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if num_bytes >= size:
            return f"{num_bytes / size:.2f} {unit}"
    return f"{num_bytes / 2**10:.2f} KiB"


def make_folder(folder: Path) -> None:
    """Make a folder with those above it, unless it is there.

    Raises:
        RunFolderError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8."""
    content = text.encode()
    with replacing(path, num_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON document, two spaces a level."""
    write_text(path, as_json(content))


def as_json(content: Any) -> str:
    """Return a JSON document as :func:`write_json` writes it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_tensors(
    path: Path, tensors: Mapping[str, "Tensor"], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors as a safetensors file, with texts in its header."""
    from safetensors.torch import save_file  # here: who writes no tensors need not wait for torch

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    num_bytes = sum(tensor.nbytes for tensor in contiguous.values())
    with replacing(path, num_bytes=num_bytes) as temporary, with_usual_mode(temporary):
        save_file(contiguous, temporary, dict(metadata) if metadata else None)


@contextmanager
def with_usual_mode(path: Path) -> Iterator[None]:
    """Give the file that the block writes the mode that the umask allows.

    The safetensors package makes files that only their owner may read.
    """
    path.touch()
    mode = path.stat().st_mode
    yield
    path.chmod(mode)
