"""Arrays that a file can take, and what to do about others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_core.errors import ShapeError
from fdmo_export.contract import INPUT_FEATURES
from fdmo_export.metadata import Metadata
from fdmo_export.tensorrt import ShapeProfile


def require_input(inputs: NDArray[Any], metadata: Metadata) -> None:
    """Raise a ShapeError if a batch is not what a file takes."""
    if metadata.takes_whole_images:
        require_pixels(inputs, "The batch", ndim=4)
        return
    rest: tuple[int, ...]
    if metadata.input_name == INPUT_FEATURES:
        what, rest, dtype = "Features", (metadata.feature_dim,), "float32"
        advice = "Compute them as those that the classifier was trained on."
    else:
        side = metadata.image_size
        what, rest, dtype = "Images", (3, side, side), "uint8"
        advice = "Letterbox them first; docs/onnx.md says how."
    if inputs.dtype != dtype or inputs.ndim == 0 or inputs.shape[1:] != rest or not len(inputs):
        expected = ", ".join(map(str, ("B", *rest)))
        raise ShapeError(
            f"{what} have shape {inputs.shape} and type {inputs.dtype}. Expected ({expected}) of "
            f"{dtype}, B at least 1. {advice}"
        )


def require_pixels(array: NDArray[Any], name: str, *, ndim: int) -> None:
    """Raise a ShapeError that says what to do if an array is no RGB image, or batch of them.

    Args:
        array: What was given.
        name: What messages call it.
        ndim: 3 of an image, 4 of a batch.
    """
    shape = array.shape
    if array.dtype == np.uint8 and array.ndim == ndim and shape[-1] == 3 and 0 not in shape:
        return
    axes = "(H, W, 3)" if ndim == 3 else "(B, H, W, 3)"
    raise ShapeError(
        f"{name} has shape {shape} and type {array.dtype}. Expected {axes} of uint8, RGB, with at "
        f"least one pixel. {_remedy(array, ndim)}"
    )


def _remedy(array: NDArray[Any], ndim: int) -> str:
    if 0 in array.shape:
        return "Leave out what is empty."
    if array.dtype.kind == "f":
        return "Scale it to 0 to 255, round it, and call astype('uint8')."
    if array.dtype != np.uint8:
        return "Give 8 bits a channel, 0 to 255, and call astype('uint8')."
    channels = array.shape[ndim - 3] if array.ndim == ndim else 0
    if array.ndim == ndim and channels in (1, 3, 4) and array.shape[-1] > 4:
        return "Channels come last: move them there with numpy.moveaxis(image, -3, -1)."
    if array.ndim == ndim - 1 or array.shape[-1] == 1:
        return "Grey becomes RGB when it is repeated three times along a last axis."
    if array.shape[-1] == 4:
        return "Put what is transparent on black and give the first three channels alone."
    return "Give RGB images, row by row."


def require_profile(inputs: NDArray[Any], profile: ShapeProfile) -> None:
    """Raise a ShapeError if TensorRT's engines were not built for a batch of this shape."""
    fits = all(
        low <= length <= high
        for low, length, high in zip(profile.smallest, inputs.shape, profile.largest, strict=False)
    )
    if not fits:
        raise ShapeError(
            f"The batch has shape {inputs.shape}. Expected batch, height and width from "
            f"{profile.smallest} to {profile.largest}, for which TensorRT's engines are built. "
            f"Scale the images, or open the file with another profile."
        )
