"""The file that features are extracted into: a .safetensors file with facts in its header."""

from typing import Any

from pydantic import Field

from fdmo_core.settings import Settings

METADATA_KEY = "fdmo"
FEATURES_KEY = "features"
LABELS_KEY = "labels"
SPLIT_KEY = "split"
SOURCES_KEY = "sources"
FORMAT_VERSION = 1


class FeatureFileFacts(Settings):
    """What the header of such a file says, as JSON under :data:`METADATA_KEY`.

    Attributes:
        format: Of the file.
        class_names: In the order that labels count; None where labels are the names.
        stream_dims: How a row divides into streams; empty where nobody said.
        keeps_empty_classes: As in :class:`fdmo_core.Splits`.
        origin: What decided the features, so that another extraction does not go on with them.
    """

    format: int = FORMAT_VERSION
    class_names: tuple[str, ...] | None = None
    stream_dims: tuple[int, ...] = ()
    keeps_empty_classes: bool = False
    origin: dict[str, Any] = Field(default_factory=dict)
