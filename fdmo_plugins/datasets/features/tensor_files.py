"""Tensors of a .safetensors file: features mapped, the rest read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from fdmo_core import DataError
from fdmo_core.feature_file import METADATA_KEY, SOURCES_KEY, FeatureFileFacts
from fdmo_plugins.datasets.features.stored import (
    Array,
    Keys,
    MappedArray,
    StoredFeatures,
    find_key,
    labels_and_split,
    require_key,
)

MAPPED_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "U8": "<u1", "I8": "<i1"}


def open_safetensors(file: Path, keys: Keys) -> StoredFeatures:
    """Return what a .safetensors file holds; features in bfloat16 are read whole.

    Args:
        file: Where it is.
        keys: Names of its tensors.

    Raises:
        DataError: It is no such file, or a tensor is missing.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            there = tuple(opened.keys())
            metadata = opened.metadata() or {}
            features = require_key(keys.features, there, what="features", file=file)
            labels, split = labels_and_split(keys, there, file)
            sources = find_key((SOURCES_KEY,), there)

            def whole(key: str | None) -> NDArray[Any] | None:
                return None if key is None else _as_numpy(opened.get_tensor(key))

            facts = _facts(metadata, file)
            return StoredFeatures(
                features=_mapped(file, features) or _as_numpy(opened.get_tensor(features)),
                labels=whole(labels),
                splits=whole(split),
                class_names=facts.class_names,
                sources=whole(sources),
                stream_dims=facts.stream_dims,
                keeps_empty_classes=facts.keeps_empty_classes,
            )
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"'{file}' cannot be read: {error}. Expected a .safetensors file. Write it again, or "
            f"correct data.file."
        ) from error


def _mapped(file: Path, key: str) -> Array | None:
    """Return a tensor as it lies in the file; None if numpy knows no such type."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entry = json.loads(stream.read(length))[key]  # safe_open has checked it
    dtype = MAPPED_TYPES.get(entry["dtype"])
    if dtype is None:
        return None
    first = 8 + length + entry["data_offsets"][0]
    return MappedArray(file, first, np.dtype(dtype), tuple(entry["shape"]))


def _as_numpy(tensor: Any) -> NDArray[Any]:
    import torch

    array: NDArray[Any] = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return array


def _facts(metadata: dict[str, str], file: Path) -> FeatureFileFacts:
    if METADATA_KEY not in metadata:
        return FeatureFileFacts()
    try:
        return FeatureFileFacts.model_validate_json(metadata[METADATA_KEY])
    except ValueError as error:
        raise DataError(
            f"The header of '{file}' is not what fdmo writes: {error}. Expected class names and "
            f"stream_dims. Write it again with 'fdmo features extract'."
        ) from error
