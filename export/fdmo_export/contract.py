"""What an exported file takes, gives and says of itself; the one place that names it.

No torch here: applications that only run the file read these names.
"""

INPUT_IMAGE = "image"
"""RGB, upright, of any size; uint8 (B, H, W, 3)."""

INPUT_BOX = "box"
"""Optional: left, top, right, bottom of what is to be classified, in pixels; float32 (B, 4)."""

INPUT_IMAGES = "images"
"""Of a file without preprocessing: RGB, cropped and letterboxed; uint8 (B, 3, S, S)."""

INPUT_FEATURES = "features"
"""Of a network for features, instead of images: as they were computed; float32 (B, F)."""

INPUT_TARGET_PRIOR = "target_prior"
"""Optional: how frequent each class is where the file is used; sums to 1; float32 (C,)."""

INPUT_TAU = "tau"
"""Optional: how far the scores follow ``target_prior``, 0 not at all; float32 ()."""

OUTPUT_PROBABILITIES = "probabilities"
"""Softmax of the logits; float32 (B, C)."""

OUTPUT_LOGITS = "logits"
"""The main classifier's scores, moved to the target prior; float32 (B, C)."""

OUTPUT_FEATURES = "features"
"""Texture and shape-stream features, joined; float32 (B, F)."""

OUTPUT_LANDMARKS = "landmarks"
"""Of a network with a landmark head: x and y in pixels of the input image; float32 (B, K, 2)."""

OUTPUT_VISIBILITY = "visibility"
"""Of a network with a landmark head: probability that each can be seen; float32 (B, K)."""

WHOLE_IMAGE = (0.0, 0.0, 1e9, 1e9)
"""The box when none is given; it is clipped to the image."""

OPSET = 20
"""ONNX operator set; onnxruntime knows it since 1.17."""

METADATA_KEY = "fdmo"
"""Key of the file's metadata that holds a JSON document; docs/onnx.md lists its entries."""

GOLDEN_KEY = "fdmo_golden"
"""Key of the metadata that holds the golden examples, a JSON document."""

GENERATOR_KEY = "fdmo_generator"
"""Key of the metadata that an exported generator has instead, a JSON document."""

DIGEST_KEY = "fdmo_sha256"
"""Key of the metadata that holds the file's own digest."""

METADATA_FORMAT = 2

METADATA_ENTRIES = (
    "class_names",
    "class_counts",
    "landmark_names",
    "preprocessing",
    "prior",
    "thresholds",
    "precision",
    "license",
    "data_digest",
    "config_digest",
    "config",
)
"""What every file of this format says of itself, besides ``format`` and ``fdmo``."""

MAX_FILE_BYTES = 2**31 - 1
"""A protobuf message, and so a single ONNX file, cannot be larger."""


def output_names(*, of_features: bool, num_landmarks: int) -> tuple[str, ...]:
    """Return the outputs of a file in their order.

    Args:
        of_features: Whether it takes features instead of images.
        num_landmarks: K; 0 without a landmark head.
    """
    names: tuple[str, ...] = (OUTPUT_PROBABILITIES, OUTPUT_LOGITS)
    if not of_features:
        names += (OUTPUT_FEATURES,)
    if num_landmarks:
        names += (OUTPUT_LANDMARKS, OUTPUT_VISIBILITY)
    return names
