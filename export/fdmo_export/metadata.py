"""What an opened file says of itself, checked before anything relies on it."""

import json
from dataclasses import dataclass
from typing import Any

from fdmo_core.errors import ExportError
from fdmo_export.contract import (
    DIGEST_KEY,
    INPUT_FEATURES,
    INPUT_IMAGE,
    METADATA_ENTRIES,
    METADATA_FORMAT,
    METADATA_KEY,
    OUTPUT_LOGITS,
    output_names,
)


@dataclass(frozen=True)
class Metadata:
    """The metadata of a file and what its graph adds.

    Attributes:
        entries: The JSON document, as docs/onnx.md lists it.
        input_name: Of the contract: whole images, letterboxed ones, or features.
        class_names: In label order; C of them.
        digest: The file's own.
    """

    entries: dict[str, Any]
    input_name: str
    class_names: tuple[str, ...]
    digest: str

    @property
    def takes_whole_images(self) -> bool:
        """Whether preprocessing is in the graph."""
        return self.input_name == INPUT_IMAGE

    @property
    def image_size(self) -> int:
        """Side of the square input, in pixels; 0 of a classifier of features."""
        return int(self.entries["preprocessing"].get("image_size", 0))

    @property
    def feature_dim(self) -> int:
        """F, length of the input; 0 of a classifier of images."""
        return int(self.entries["preprocessing"].get("feature_dim", 0))

    @property
    def precision(self) -> str:
        """Name of the precision, such as ``"fp32"``."""
        return str(self.entries["precision"]["name"])

    @property
    def thresholds(self) -> list[float | None]:
        """From which probability on an answer of each class counts as certain; None never."""
        found: list[float | None] = self.entries["thresholds"]["probability"]
        return found

    @property
    def output_names(self) -> tuple[str, ...]:
        """Outputs in order."""
        return output_names(
            of_features=self.input_name == INPUT_FEATURES,
            num_landmarks=len(self.entries["landmark_names"]),
        )


def read_metadata(session: Any, name: str) -> Metadata:
    """Return what a file says of itself.

    Args:
        session: In which it was opened.
        name: What messages call it.

    Raises:
        ExportError: It was not written by this version of fdmo, or changed since.
    """
    entries = _entries(session, name)
    outputs = {one.name: one.shape for one in session.get_outputs()}
    missing = [one for one in METADATA_ENTRIES if one not in entries]
    if missing:
        raise _changed(name, f"it lacks {', '.join(missing)}")
    try:
        metadata = Metadata(
            entries,
            session.get_inputs()[0].name,
            tuple(map(str, entries["class_names"])),
            session.get_modelmeta().custom_metadata_map[DIGEST_KEY],
        )
        lost = [one for one in metadata.output_names if one not in outputs]
        lengths = {
            "outputs": int(outputs.get(OUTPUT_LOGITS, [0])[-1]),
            "class_names": len(metadata.class_names),
            "class_counts": len(entries["class_counts"]),
            "thresholds": len(metadata.thresholds),
        }
        _ = metadata.image_size, metadata.feature_dim, metadata.precision
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _changed(name, f"an entry is not as it was written ({error!r})") from error
    if lost:
        raise _changed(name, f"it lacks {', '.join(lost)}")
    if len(set(lengths.values())) > 1:
        counted = ", ".join(f"{key} {value}" for key, value in lengths.items())
        raise _changed(name, f"its parts count different numbers of classes ({counted})")
    return metadata


def _entries(session: Any, name: str) -> dict[str, Any]:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}")
    try:
        entries: Any = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    found = entries.get("format") if isinstance(entries, dict) else text[:40]
    if found != METADATA_FORMAT:
        raise ExportError(
            f"{name} has fdmo metadata of format {found!r}. Expected {METADATA_FORMAT}. Use a "
            f"file that this version of 'fdmo export onnx' wrote."
        )
    return dict(entries)


def _changed(name: str, how: str) -> ExportError:
    return ExportError(
        f"{name} was changed after its export: {how}. Expected what 'fdmo export onnx' writes. "
        f"Export the run again."
    )
