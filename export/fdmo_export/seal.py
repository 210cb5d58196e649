"""The digest that a file carries of itself, so that a changed file is known."""

import hashlib
from typing import TYPE_CHECKING

from fdmo_core.errors import ExportError
from fdmo_export.contract import DIGEST_KEY

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
    start = _place(content)
    digest = hashlib.sha256(content).hexdigest().encode()
    return content[:start] + digest + content[start + len(digest) :]


def require_seal(content: bytes, name: str) -> None:
    """Raise an ExportError if a file is not as it was written.

    Args:
        content: The file's bytes.
        name: What messages call it.
    """
    start = _place(content)
    if start < 0:
        raise ExportError(
            f"{name} has no digest. Expected a file that 'fdmo export onnx' wrote, whole and "
            f"unchanged. Export the run again, or fetch the file again."
        )
    total = hashlib.sha256(content[:start])
    total.update(UNSEALED.encode())
    total.update(content[start + len(UNSEALED) :])
    if total.hexdigest().encode() != content[start : start + len(UNSEALED)]:
        raise ExportError(
            f"{name} was changed or damaged after its export: its digest is not that of its "
            f"content. Expected the file as 'fdmo export onnx' wrote it. Export the run again, or "
            f"fetch the file again."
        )


def _place(content: bytes) -> int:
    """Return where the digest begins, or -1."""
    key = DIGEST_KEY.encode()
    found = content.rfind(key)
    start = found + len(key) + 2  # tag and length of the value's field
    return start if found >= 0 and start + len(UNSEALED) <= len(content) else -1
