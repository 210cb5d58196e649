"""Which provider a session gets, on a machine without a GPU, and what is said of the others."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from fdmo_core.errors import ConfigError, ExportError
from fdmo_export import OnnxClassifier
from fdmo_export.obstacles import find_obstacle
from fdmo_export.providers import ONNXRUNTIME_NAMES, Provider

GPU_BUILD = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
GPU_PROVIDERS: tuple[Provider, ...] = ("cuda", "tensorrt")
OPEN = """
import sys

from fdmo_export import OnnxClassifier

print(OnnxClassifier(sys.argv[1], provider=sys.argv[2], allow_cpu=True).provider)
"""


def obstacle(provider: Provider) -> str | None:
    found = find_obstacle(
        onnxruntime, provider=provider, onnxruntime_name=ONNXRUNTIME_NAMES[provider]
    )
    return None if found is None else found.what


def require_none(provider: Provider) -> None:
    if obstacle(provider) is None:
        pytest.skip(f"{provider} starts here")


@pytest.mark.parametrize("provider", GPU_PROVIDERS)
def test_a_provider_that_cannot_start_is_an_error_that_says_what_is_missing(
    onnx_file: Path, provider: Provider
) -> None:
    require_none(provider)

    with pytest.raises(ExportError) as caught:
        OnnxClassifier(onnx_file, provider=provider)

    message = str(caught.value)
    assert message.startswith(f"Provider '{provider}' is not active: {obstacle(provider)}. ")
    assert message.endswith(
        "; or choose the provider 'cpu', or allow it instead (allow_cpu=True; --allow-cpu of "
        "'fdmo predict')."
    )


@pytest.mark.skipif(not GPU_BUILD, reason="this onnxruntime knows the CPU alone")
@pytest.mark.parametrize("provider", GPU_PROVIDERS)
def test_what_is_missing_is_a_library_by_its_name(provider: Provider) -> None:
    require_none(provider)

    what = obstacle(provider)

    assert what is not None
    assert what.startswith("lib")
    assert ".so." in what
    assert what.endswith(" is missing")


@pytest.mark.parametrize("provider", GPU_PROVIDERS)
def test_the_cpu_may_take_its_place_where_that_is_allowed(
    onnx_file: Path, provider: Provider
) -> None:
    require_none(provider)

    classifier = OnnxClassifier(onnx_file, provider=provider, allow_cpu=True)

    assert classifier.provider == "cpu"
    assert classifier.passed_over == (f"{provider}: {obstacle(provider)}",)


def test_auto_takes_the_best_that_starts_and_says_what_it_passed_over(
    onnx_file: Path, tmp_path: Path
) -> None:
    classifier = OnnxClassifier(onnx_file, cache_dir=tmp_path / "engines")

    missing = {one: obstacle(one) for one in ("tensorrt", "cuda")}
    best = next((one for one, what in missing.items() if what is None), "cpu")
    assert classifier.provider == best
    passed_over = list(missing)[: [*missing, "cpu"].index(best)]
    assert classifier.passed_over == tuple(f"{one}: {missing[one]}" for one in passed_over)


def test_auto_builds_no_engines_without_a_folder_to_keep_them(onnx_file: Path) -> None:
    classifier = OnnxClassifier(onnx_file)

    assert classifier.provider != "tensorrt"
    assert not any(one.startswith("tensorrt") for one in classifier.passed_over)


@pytest.mark.parametrize("provider", GPU_PROVIDERS)
def test_nothing_is_written_to_the_terminal_about_what_is_missing(
    onnx_file: Path, provider: Provider
) -> None:
    require_none(provider)
    command = [sys.executable, "-c", OPEN, str(onnx_file), provider]

    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (result.stdout, result.stderr) == ("cpu\n", "")


@pytest.mark.parametrize("provider", ["gpu", "CPU", "CUDAExecutionProvider", ""])
def test_other_providers_are_an_error(onnx_file: Path, provider: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OnnxClassifier(onnx_file, provider=provider)

    assert str(caught.value) == (
        f"provider is {provider!r}. Expected one of auto, cpu, cuda, tensorrt. Choose one of these."
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("provider", GPU_PROVIDERS)
def test_a_gpu_answers_as_the_cpu_does(onnx_file: Path, tmp_path: Path, provider: Provider) -> None:
    images = [
        np.random.default_rng(seed).integers(0, 256, (30 + seed, 40, 3), dtype=np.uint8)
        for seed in range(6)
    ]

    classifier = OnnxClassifier(onnx_file, provider=provider, cache_dir=tmp_path)

    assert classifier.provider == provider
    expected = OnnxClassifier(onnx_file, provider="cpu").predict(images)
    for found, one in zip(classifier.predict(images), expected, strict=True):
        np.testing.assert_allclose(found.probabilities, one.probabilities, atol=0.02)
