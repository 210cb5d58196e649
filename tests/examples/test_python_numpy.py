"""What is special about the Python application: what it imports, reads, and lets be copied."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "python-numpy"

Process = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("package", ["fdmo_core", "fdmo_export", "torch", "PIL", "onnx"])
def test_its_process_has_numpy_and_onnxruntime_alone(run_python: Process, package: str) -> None:
    assert run_python("-c", "import numpy, onnxruntime").returncode == 0
    assert f"No module named '{package}'" in run_python("-c", f"import {package}").stderr


def test_the_requirements_are_what_it_imports() -> None:
    lines = (EXAMPLE / "requirements.txt").read_text().splitlines()

    assert [line.partition(">=")[0] for line in lines] == ["numpy", "onnxruntime"]


def test_saved_arrays_and_commented_ppm_files_are_read(
    run_python: Process, onnx_file: Path, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    (tmp_path / "b.ppm").write_bytes(
        b"P6 # made by hand\n14\t9\n# white:\n255\n" + pixels.tobytes()
    )

    done = run_python(EXAMPLE / "classify.py", onnx_file, tmp_path / "a.npy", tmp_path / "b.ppm")

    first, second = (line.split("\t")[1:] for line in done.stdout.splitlines())
    assert first == second


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((9, 14, 4), np.uint8),
        np.zeros((9, 14), np.uint8),
        np.zeros((9, 14, 3), np.float32),
        np.zeros((0, 14, 3), np.uint8),
    ],
    ids=str,
)
def test_other_arrays_are_refused(
    run_python: Process, onnx_file: Path, tmp_path: Path, array: NDArray[np.generic]
) -> None:
    np.save(tmp_path / "a.npy", array)

    done = run_python(EXAMPLE / "classify.py", onnx_file, tmp_path / "a.npy")

    assert (done.returncode, done.stdout) == (3, "")
    assert f"holds {array.dtype} of shape {array.shape}. Expected uint8 (H, W, 3)" in done.stderr


def test_the_readme_s_code_classifies_with_pillow(
    onnx_file: Path,
    right_answers: Callable[..., dict[str, NDArray[np.float32]]],
    tmp_path: Path,
) -> None:
    readme = (EXAMPLE / "README.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.jpg", "PNG")  # Pillow goes by the content
    shutil.copy(onnx_file, tmp_path)
    expected = [
        right_answers([pixels], box=[box])["probabilities"].max()
        for box in ([0, 0, 60, 40], [10, 0, 50, 50])
    ]

    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(EXAMPLE)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    found = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert found == pytest.approx(expected, abs=1e-5)
