"""What TensorRT is told: where its engines are kept, and which sizes they are built for."""

import os
from dataclasses import dataclass
from pathlib import Path

from fdmo_export.contract import INPUT_BOX, INPUT_IMAGE
from fdmo_export.metadata import Metadata


@dataclass(frozen=True)
class ShapeProfile:
    """Batch, height and width that engines are built for.

    Attributes:
        smallest: That they take at least.
        usual: For which they are fast.
        largest: That they take at most.
    """

    smallest: tuple[int, int, int] = (1, 16, 16)
    usual: tuple[int, int, int] = (8, 480, 640)
    largest: tuple[int, int, int] = (32, 1024, 1024)


def default_cache_dir() -> Path:
    """Return where engines are kept if nothing else is said: in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fdmo" / "tensorrt"


def tensorrt_options(metadata: Metadata, profile: ShapeProfile, cache_dir: Path) -> dict[str, str]:
    """Return the options of the execution provider.

    Source: onnxruntime's documentation of the TensorRT execution provider.

    Args:
        metadata: Of the file; its precision is what TensorRT may compute with.
        profile: What engines are built for.
        cache_dir: For engines, and for timings that make the next one quick to build.
    """
    options = {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(cache_dir),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(cache_dir),
        "trt_fp16_enable": str(metadata.precision == "fp16"),
        "trt_int8_enable": str(metadata.precision == "int8"),
    }
    sizes = {"min": profile.smallest, "opt": profile.usual, "max": profile.largest}
    shapes = {f"trt_profile_{key}_shapes": _shapes(metadata, *one) for key, one in sizes.items()}
    return options | shapes


def _shapes(metadata: Metadata, batch: int, height: int, width: int) -> str:
    """Return the shape of each input whose shape is not fixed, as TensorRT reads it."""
    if metadata.takes_whole_images:
        return f"{INPUT_IMAGE}:{batch}x{height}x{width}x3,{INPUT_BOX}:{batch}x4"
    side = metadata.image_size
    rest = f"3x{side}x{side}" if side else f"{metadata.feature_dim}"
    return f"{metadata.input_name}:{batch}x{rest}"
