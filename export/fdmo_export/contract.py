"""What an exported file takes, gives and says of itself; the one place that names it.

No torch here: applications that only run the file read these names.
"""

INPUT_IMAGES = "images"
"""RGB, cropped and letterboxed to the square that the metadata names; uint8 (B, 3, S, S)."""

INPUT_FEATURES = "features"
"""Of a network for features, instead of images: as they were computed; float32 (B, F)."""

OUTPUT_PROBABILITIES = "probabilities"
"""Softmax of the logits; float32 (B, C)."""

OUTPUT_LOGITS = "logits"
"""The main classifier's scores; float32 (B, C)."""

OUTPUT_FEATURES = "features"
"""Texture and shape-stream features, joined; float32 (B, F)."""

OUTPUTS = (OUTPUT_PROBABILITIES, OUTPUT_LOGITS, OUTPUT_FEATURES)
"""Of a network for images."""

OUTPUTS_OF_FEATURES = (OUTPUT_PROBABILITIES, OUTPUT_LOGITS)
"""Of a network for features."""

OPSET = 20
"""ONNX operator set; onnxruntime knows it since 1.17."""

METADATA_KEY = "fdmo"
"""Key of the file's metadata that holds a JSON document; docs/onnx.md lists its entries."""

METADATA_FORMAT = 1

METADATA_ENTRIES = ("class_names", "class_counts", "preprocessing", "data_digest", "config")
"""What every file of this format says of itself."""

MAX_FILE_BYTES = 2**31 - 1
"""A protobuf message, and so a single ONNX file, cannot be larger."""
