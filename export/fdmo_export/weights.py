"""Weights beside the file, where one ONNX file cannot hold them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from onnx import TensorProto

from fdmo_core.files import cannot_write, require_no_device
from fdmo_export.contract import MAX_FILE_BYTES
from fdmo_export.seal import file_digest

MAX_WEIGHT_BYTES = MAX_FILE_BYTES - 2**26  # of one file; the rest is for graph and metadata
SMALLEST = 1024  # bytes of a tensor that is moved out
ALIGNMENT = 4096  # bytes; a tensor that begins on a page can be mapped into memory


def weights_path(path: Path) -> Path:
    """Return where the weights of a file lie, if they lie beside it."""
    return path.with_name(f"{path.name}.data")


def weight_bytes(model: onnx.ModelProto) -> int:
    """Return how many bytes the weights of a model need."""
    return sum(len(one.raw_data) for one in model.graph.initializer)


def move_weights(model: onnx.ModelProto, path: Path) -> dict[str, Any]:
    """Write the weights of a model to a file of their own; the model refers to them there.

    Args:
        model: It is changed.
        path: The file to write; the model must come to lie beside it.

    Returns:
        What the metadata say of the file: ``file``, ``bytes`` and ``sha256``.
    """
    with path.open("wb") as file:
        for one in model.graph.initializer:
            if len(one.raw_data) < SMALLEST:
                continue
            file.write(bytes(-file.tell() % ALIGNMENT))
            place = {"location": path.name, "offset": file.tell(), "length": len(one.raw_data)}
            file.write(one.raw_data)
            one.ClearField("raw_data")
            one.data_location = TensorProto.EXTERNAL
            for key, value in place.items():
                entry = one.external_data.add()
                entry.key, entry.value = key, str(value)
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": file_digest(path)}


@contextmanager
def replacing_with_weights(path: Path) -> Iterator[Path]:
    """Yield a path of the same name in a temporary folder; move what is there when all is well.

    Weights beside a file move first. Whoever meets new weights and an old file in between is told
    by the digest.

    Raises:
        RunFolderError: The file cannot be written, for instance because the disk is full.
    """
    require_no_device(path)
    try:
        with TemporaryDirectory(
            prefix=f".{path.name}.", suffix=".tmp", dir=path.parent, ignore_cleanup_errors=True
        ) as folder:
            temporary = Path(folder) / path.name
            yield temporary
            has_weights = weights_path(temporary).is_file()
            if has_weights:
                weights_path(temporary).replace(weights_path(path))
            temporary.replace(path)
            if not has_weights:
                weights_path(path).unlink(missing_ok=True)  # of the file that was replaced
    except OSError as error:
        raise cannot_write(path, error) from error
