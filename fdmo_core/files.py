"""Files that are whole or absent: written under a temporary name, then renamed."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from fdmo_core.errors import RunFolderError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it to ``path`` when the block succeeds.

    Raises:
        RunFolderError: The file cannot be written, for instance because the disk is full.
    """
    require_no_device(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(NotADirectoryError):  # told above: the folder is a file
            temporary.unlink(missing_ok=True)


def require_no_device(path: Path) -> None:
    """Raise a RunFolderError if a device or a pipe is there, which a rename would replace."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise RunFolderError(
            f"{path} is a device or a pipe. Expected the name of a file, for what is there is "
            f"replaced. Choose another name."
        )


def cannot_write(path: Path, error: Exception) -> RunFolderError:
    """Return the error that says that a file could not be written, and why."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return RunFolderError(
        f"Cannot write {path}: {reason}. Expected a writable folder with enough free space. Free "
        f"some space or choose another folder with --out."
    )


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
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON document, two spaces a level."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_tensors(
    path: Path, tensors: Mapping[str, "Tensor"], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors as a safetensors file, with texts in its header."""
    from safetensors.torch import save_file  # here: who writes no tensors need not wait for torch

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # what the umask allows; safetensors makes files private
        save_file(contiguous, temporary, dict(metadata) if metadata else None)
        temporary.chmod(mode)
