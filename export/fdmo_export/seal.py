"""The digest that a file carries of itself, so that a changed file is known."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from fdmo_core.errors import ExportError
from fdmo_export.contract import DIGEST_KEY
from fdmo_export.wire import metadata_places

if TYPE_CHECKING:
    import onnx

UNSEALED = "0" * 64  # where the digest will be


def sealed_bytes(model: "onnx.ModelProto") -> bytes:
    """Return the model as a file's bytes, with their SHA-256 in its metadata.

    The digest is that of the bytes with 64 zeros in its own place.
    """
    entry = model.metadata_props.add()
    entry.key, entry.value = DIGEST_KEY, UNSEALED
    content: bytes = model.SerializeToString()
    place = metadata_places(content)[DIGEST_KEY]
    digest = hashlib.sha256(content).hexdigest().encode()
    return content[: place.start] + digest + content[place.stop :]


def require_seal(content: bytes, name: str) -> None:
    """Raise an ExportError if a file is not as it was written.

    Args:
        content: The file's bytes.
        name: What messages call it.
    """
    try:
        place = metadata_places(content).get(DIGEST_KEY, slice(0, 0))
    except ValueError:
        place = slice(0, 0)
    total = hashlib.sha256()
    view = memoryview(content)  # the weights are not copied
    for part in (view[: place.start], UNSEALED.encode(), view[place.stop :]):
        total.update(part)
    if total.hexdigest().encode() != content[place]:
        raise ExportError(
            f"{name} was changed or damaged after its export: its digest is not that of its "
            f"content. Expected the file as 'fdmo export onnx' wrote it. Fetch the file again, or "
            f"export the run again."
        )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
