"""Safetensors files that carry the digest of their own bytes, so that a damaged one is known.

A digest in another file would have to be written in the same moment as this one, which no file
system can do; one in the file itself is there or not there with it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fdmo_core.files import reach_disk, replacing, with_usual_mode

if TYPE_CHECKING:  # who looks at heads alone need not wait for torch
    from torch import Tensor

HEAD_KEY, DIGEST_KEY = "fdmo", "sha256"  # of the header; of the head in it
NO_DIGEST = "0" * 64  # where the digest will be
MAX_HEADER_BYTES = 100_000_000  # of safetensors itself


class Sealed(NamedTuple):
    """What a sealed file holds.

    Attributes:
        head: Plain data.
        tensors: On the CPU, by name.
    """

    head: dict[str, Any]
    tensors: "dict[str, Tensor]"


def write_sealed(
    path: Path,
    head: Mapping[str, Any],
    tensors: "Mapping[str, Tensor]",
    *,
    keep_old_as: Path | None = None,
) -> None:
    """Write tensors and plain data as one file, with its own SHA-256 in the header.

    The digest is that of the bytes with 64 zeros in its own place.

    Args:
        path: The file.
        head: Plain data.
        tensors: By name.
        keep_old_as: New name of the file that is at ``path`` now, if there is one. A kill may
            leave it there while ``path`` is missing.

    Raises:
        RunFolderError: The file cannot be written, for instance because the disk is full.
    """
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {HEAD_KEY: json.dumps({DIGEST_KEY: NO_DIGEST, **head})}
    num_bytes = sum(tensor.nbytes for tensor in contiguous.values())
    with replacing(path, num_bytes=num_bytes) as temporary:
        with with_usual_mode(temporary):
            save_file(contiguous, temporary, metadata)
        header = _read_header(temporary)
        digest = _digest(temporary, header, NO_DIGEST)
        with temporary.open("r+b") as file:
            file.seek(8 + header.index(NO_DIGEST.encode()))
            file.write(digest.encode())
        if keep_old_as is not None and path.exists():
            reach_disk(temporary)
            path.replace(keep_old_as)


def read_sealed(path: Path) -> Sealed:
    """Return what :func:`write_sealed` wrote; errors as in :func:`read_head`.

    Raises:
        SafetensorError: It is no safetensors file.
    """
    from safetensors.torch import load_file

    head = read_head(path)
    return Sealed(head, load_file(path))


def read_head(path: Path, *, is_checked: bool = True) -> dict[str, Any]:
    """Return the plain data of a sealed file.

    Args:
        path: The file.
        is_checked: Whether the digest is compared with the content, all of which is then read.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not as it was written.
    """
    header = _read_header(path)
    try:
        head: dict[str, Any] = json.loads(json.loads(header)["__metadata__"][HEAD_KEY])
        digest = head.pop(DIGEST_KEY)
        if is_checked and _digest(path, header, digest) != digest:
            raise ValueError("its digest is not that of its content")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"its header lacks what fdmo writes: {error!r}") from error
    return head


def _read_header(path: Path) -> bytes:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > MAX_HEADER_BYTES:
            raise ValueError(f"its header would have {size} bytes")
        header = file.read(size)
    if len(header) < size:
        raise ValueError("it ends within its header")
    return header


def _digest(path: Path, header: bytes, digest: str) -> str:
    """Return the SHA-256 of a file with zeros where its header holds a digest."""
    total = hashlib.sha256(header.replace(digest.encode(), NO_DIGEST.encode(), 1))
    with path.open("rb") as file:
        file.seek(8 + len(header))
        while part := file.read(2**20):
            total.update(part)
    return total.hexdigest()
