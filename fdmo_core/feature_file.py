"""The file that features are extracted into: safetensors, filled by any number of processes.

It is made at its full size under another name, with a file of marks beside it, one for each row. An
extraction that was interrupted, with however many processes, goes on with the rows that have none.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fdmo_core.errors import RunFolderError
from fdmo_core.files import cannot_write, replacing
from fdmo_core.samples import Splits
from fdmo_core.settings import Settings

METADATA_KEY = "fdmo"
FEATURES_KEY = "features"
LABELS_KEY = "labels"
SPLIT_KEY = "split"
SOURCES_KEY = "sources"
TYPES = {"<i8": "I64", "<f4": "F32", "|u1": "U8"}  # of numpy, of safetensors


class FeatureFileFacts(Settings):
    """What the header of such a file says, as JSON under :data:`METADATA_KEY`.

    Attributes:
        format: Of the file.
        class_names: In the order that labels count; None where labels are the names.
        stream_dims: How a row divides into streams; empty where nobody said.
        keeps_empty_classes: As in :class:`fdmo_core.Splits`.
        origin: All that decided the features, so that no other extraction goes on with them.
    """

    format: Literal[1] = 1
    class_names: tuple[str, ...] | None = None
    stream_dims: tuple[int, ...] = ()
    keeps_empty_classes: bool = False
    origin: dict[str, Any] = Field(default_factory=dict)


class UnfinishedFile(NamedTuple):
    """The file while it is filled; all processes have it open.

    Attributes:
        path: What it will be called.
        part: What it is called meanwhile.
        marks: File with a byte for each row; 1 where its features are written.
        features: Shape ``(N, F)``, float32, mapped for writing.
        is_done: Shape ``(N,)``, uint8, mapped for writing.
    """

    path: Path
    part: Path
    marks: Path
    features: "np.memmap[Any, np.dtype[np.float32]]"
    is_done: "np.memmap[Any, np.dtype[np.uint8]]"

    def write(self, rows: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Write the features of some rows, then mark them.

        Args:
            rows: Shape ``(B,)``.
            features: Shape ``(B, F)``.
        """
        self.features[rows] = features
        self.features.flush()
        self.is_done[rows] = 1
        self.is_done.flush()

    def finish(self) -> Path:
        """Give the file its name, and return it."""
        self.part.replace(self.path)
        self.marks.unlink()
        return self.path


def make_file(
    path: Path, splits: Splits, stream_dims: tuple[int, ...], origin: dict[str, Any]
) -> Path:
    """Make the file at its full size under another name, or find what an interruption left.

    Args:
        path: What it will be called.
        splits: Rows are those of train, val and test, in this order.
        stream_dims: Lengths of the streams.
        origin: All that decides the features.

    Returns:
        The file under its other name.

    Raises:
        RunFolderError: There is such a file, what is left is of another extraction, or the file
            cannot be written.
    """
    if path.exists():
        raise RunFolderError(
            f"{path} is there already. Expected a file that is not. Choose another one with --out, "
            f"or remove it."
        )
    part, marks = _unfinished_names(path)
    facts = FeatureFileFacts(
        class_names=splits.class_names,
        stream_dims=stream_dims,
        keeps_empty_classes=splits.keeps_empty_classes,
        origin=origin,
    )
    try:
        if part.exists():
            _require_same_origin(part, origin)
            return part
        path.parent.mkdir(parents=True, exist_ok=True)
        known = _known_columns(splits)
        num_rows = len(known[LABELS_KEY])
        marks.write_bytes(bytes(num_rows))
        with replacing(part) as temporary:
            _write_part(temporary, known, (num_rows, sum(stream_dims)), facts)
        return part
    except OSError as error:
        raise cannot_write(path, error) from error


def open_file(path: Path) -> UnfinishedFile:
    """Open what :func:`make_file` made or found."""
    part, marks = _unfinished_names(path)
    entry, start = _read_header(part)
    first, _ = entry[FEATURES_KEY]["data_offsets"]
    features = np.memmap(
        part, np.float32, "r+", offset=start + first, shape=tuple(entry[FEATURES_KEY]["shape"])
    )
    return UnfinishedFile(path, part, marks, features, np.memmap(marks, np.uint8, "r+"))


def _unfinished_names(path: Path) -> tuple[Path, Path]:
    return path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.marks")


def _known_columns(splits: Splits) -> dict[str, NDArray[Any]]:
    """Return all but the features; labels first, so that every tensor is aligned."""
    named = list(splits.named().values())
    sources = [
        split.source(index).encode() for split in named for index in range(len(split.labels))
    ]
    return {
        LABELS_KEY: np.concatenate([split.labels for split in named]).astype("<i8"),
        SPLIT_KEY: np.repeat(np.arange(3, dtype=np.uint8), [len(split.labels) for split in named]),
        SOURCES_KEY: np.array(sources, dtype=np.bytes_).view(np.uint8).reshape(len(sources), -1),
    }


def _write_part(
    file: Path,
    known: Mapping[str, NDArray[Any]],
    shape: tuple[int, int],
    facts: FeatureFileFacts,
) -> None:
    """Write header and known columns, and leave room for the features."""
    first = known[LABELS_KEY].nbytes
    end = first + 4 * shape[0] * shape[1]
    entries: dict[str, Any] = {
        "__metadata__": {METADATA_KEY: facts.model_dump_json()},
        LABELS_KEY: _entry("<i8", known[LABELS_KEY].shape, 0, first),
        FEATURES_KEY: _entry("<f4", shape, first, end),
    }
    for key in (SPLIT_KEY, SOURCES_KEY):
        entries[key] = _entry("|u1", known[key].shape, end, end + known[key].nbytes)
        end += known[key].nbytes
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with file.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        start = stream.tell()
        for key, column in known.items():
            stream.seek(start + entries[key]["data_offsets"][0])
            stream.write(column.tobytes())
        stream.truncate(start + end)


def _entry(dtype: str, shape: tuple[int, ...], first: int, end: int) -> dict[str, Any]:
    return {"dtype": TYPES[dtype], "shape": list(shape), "data_offsets": [first, end]}


def _read_header(part: Path) -> tuple[dict[str, Any], int]:
    """Return what the header says, and where the first tensor begins."""
    with part.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entries: dict[str, Any] = json.loads(stream.read(length))
    return entries, 8 + length


def _require_same_origin(part: Path, origin: dict[str, Any]) -> None:
    entries, _ = _read_header(part)
    found = FeatureFileFacts.model_validate_json(entries["__metadata__"][METADATA_KEY]).origin
    if found != origin:
        differing = [key for key in origin if found.get(key) != origin[key]]
        raise RunFolderError(
            f"{part} is of an extraction that was interrupted, and this one differs in: "
            f"{', '.join(differing)}. Expected the same, to go on with. Remove the file, or choose "
            f"another one with --out."
        )
