"""What TensorRT is told of a file; that it starts is for a machine with a GPU."""

from pathlib import Path

import pytest

from fdmo_export.metadata import Metadata
from fdmo_export.tensorrt import ShapeProfile, default_cache_dir, tensorrt_options


def metadata(*, precision: str = "fp32", **changes: int) -> Metadata:
    known = {"image_size": 24, "feature_dim": 0, "takes_whole_images": True} | changes
    return Metadata(
        entries={},
        class_names=("a", "b"),
        thresholds=(None, None),
        landmark_names=(),
        image_size=known["image_size"],
        feature_dim=known["feature_dim"],
        takes_whole_images=bool(known["takes_whole_images"]),
        precision=precision,
    )


def shapes(of: Metadata) -> list[str]:
    profile = ShapeProfile(smallest=(1, 8, 9), usual=(4, 20, 30), largest=(16, 200, 300))
    options = tensorrt_options(of, profile, Path("/cache"))
    return [options[f"trt_profile_{one}_shapes"] for one in ("min", "opt", "max")]


def test_engines_and_timings_are_kept_in_the_cache_folder() -> None:
    options = tensorrt_options(metadata(), ShapeProfile(), Path("/cache"))

    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "True"
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == "/cache"


@pytest.mark.parametrize(
    ("precision", "half", "whole"),
    [("fp32", "False", "False"), ("fp16", "True", "False"), ("int8", "False", "True")],
)
def test_it_may_compute_with_what_the_file_does(precision: str, half: str, whole: str) -> None:
    options = tensorrt_options(metadata(precision=precision), ShapeProfile(), Path("/cache"))

    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == (half, whole)


def test_whole_images_have_batch_height_and_width_in_the_profile() -> None:
    assert shapes(metadata()) == [
        "image:1x8x9x3,box:1x4",
        "image:4x20x30x3,box:4x4",
        "image:16x200x300x3,box:16x4",
    ]


def test_letterboxed_images_and_features_have_the_batch_alone() -> None:
    letterboxed = metadata(takes_whole_images=False)
    features = metadata(takes_whole_images=False, image_size=0, feature_dim=8)

    assert shapes(letterboxed) == ["images:1x3x24x24", "images:4x3x24x24", "images:16x3x24x24"]
    assert shapes(features) == ["features:1x8", "features:4x8", "features:16x8"]


def test_the_cache_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")

    assert default_cache_dir() == Path("/somewhere/fdmo/tensorrt")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/a")
    assert default_cache_dir() == Path("/home/a/.cache/fdmo/tensorrt")
