"""What a file's metadata mean to those who run it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fdmo_core.errors import ExportError
from fdmo_export.contract import (
    INPUT_BOX,
    INPUT_FEATURES,
    INPUT_IMAGE,
    INPUT_IMAGES,
    INPUT_TARGET_PRIOR,
    INPUT_TAU,
    OUTPUT_LANDMARKS,
    OUTPUT_LOGITS,
    output_names,
)
from fdmo_export.opening import describe_content, describe_file


class Source(NamedTuple):
    """A file to run.

    Attributes:
        file: Its path, or its content.
        name: What messages call it.
    """

    file: Path | bytes
    name: str


@dataclass(frozen=True)
class Metadata:
    """A file's metadata, read.

    Attributes:
        entries: The JSON document, as docs/onnx.md lists it.
        class_names: In label order; C of them.
        thresholds: From which probability on an answer of each class counts as certain; None is
            never.
        landmark_names: K of them; none without a landmark head.
        image_size: Side of the square input, in pixels; 0 of a classifier of features.
        feature_dim: F, length of the input; 0 of a classifier of images.
        takes_whole_images: Whether preprocessing is in the graph.
        precision: Its name, such as ``"fp32"``.
    """

    entries: Mapping[str, Any]
    class_names: tuple[str, ...]
    thresholds: tuple[float | None, ...]
    landmark_names: tuple[str, ...]
    image_size: int
    feature_dim: int
    takes_whole_images: bool
    precision: str

    @property
    def input_name(self) -> str:
        """What it takes: whole images, letterboxed ones, or features."""
        if self.feature_dim:
            return INPUT_FEATURES
        return INPUT_IMAGE if self.takes_whole_images else INPUT_IMAGES

    @property
    def output_names(self) -> tuple[str, ...]:
        """What it gives, in order."""
        return output_names(
            of_features=bool(self.feature_dim), num_landmarks=len(self.landmark_names)
        )


def describe_source(source: Source) -> Metadata:
    """Return what a file says of itself, having checked that it is whole.

    Raises:
        ExportError: It is no file that this version wrote, or not as it was written.
    """
    if isinstance(source.file, Path):
        return read_metadata(describe_file(source.file).metadata, source.name)
    metadata = describe_content(source.file, source.name).metadata
    if metadata.get("external_data"):
        raise ExportError(
            f"{source.name} was given as bytes, and has its weights in another file. Expected a "
            f"path, beside which they are. Give the path."
        )
    return read_metadata(metadata, source.name)


def read_metadata(entries: Mapping[str, Any], name: str) -> Metadata:
    """Return the metadata of a file that is known to be whole.

    Args:
        entries: The JSON document.
        name: What messages call the file.

    Raises:
        ExportError: An entry is not as fdmo writes it.
    """
    try:
        preprocessing = entries["preprocessing"]
        _require_counts(entries["class_counts"])
        return Metadata(
            entries=entries,
            class_names=tuple(map(str, entries["class_names"])),
            thresholds=tuple(map(_threshold, entries["thresholds"]["probability"])),
            landmark_names=tuple(map(str, entries["landmark_names"])),
            image_size=int(preprocessing.get("image_size", 0)),
            feature_dim=int(preprocessing.get("feature_dim", 0)),
            takes_whole_images=bool(preprocessing.get("in_graph")),
            precision=str(entries["precision"]["name"]),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise _disagrees(name, f"an entry is not as it was written ({error!r})") from error


def _require_counts(counts: Any) -> None:
    if not sum(int(one) for one in counts) > 0:
        raise ValueError("class_counts sum to 0")


def _threshold(value: Any) -> float | None:
    return None if value is None else float(value)


def require_graph(session: Any, metadata: Metadata, name: str) -> None:
    """Raise an ExportError if a graph is not what the metadata say of it.

    Args:
        session: In which the file was opened.
        metadata: Of the file.
        name: What messages call the file.
    """
    inputs = {metadata.input_name, INPUT_TARGET_PRIOR, INPUT_TAU}
    if metadata.takes_whole_images:
        inputs |= {INPUT_BOX}
    outputs = {one.name: one.shape for one in session.get_outputs()}
    found = {one.name for one in (*session.get_inputs(), *session.get_overridable_initializers())}
    lost = sorted(inputs - found) + [one for one in metadata.output_names if one not in outputs]
    if lost:
        raise _disagrees(name, f"its graph lacks {', '.join(lost)}")
    counts = {
        "class_names": len(metadata.class_names),
        "class_counts": len(metadata.entries["class_counts"]),
        "thresholds": len(metadata.thresholds),
        "logits": outputs[OUTPUT_LOGITS][-1],
    }
    landmarks = len(metadata.landmark_names)
    if landmarks and outputs[OUTPUT_LANDMARKS][1] != landmarks:
        raise _disagrees(
            name, f"it names {landmarks} landmarks and locates {outputs[OUTPUT_LANDMARKS][1]}"
        )
    if len(set(counts.values())) > 1:
        counted = ", ".join(f"{number} {part}" for part, number in counts.items())
        raise _disagrees(name, f"its parts are not as many as its classes ({counted})")


def _disagrees(name: str, how: str) -> ExportError:
    return ExportError(
        f"{name} was changed after its export: {how}. Expected what 'fdmo export onnx' writes. "
        f"Export the run again."
    )
