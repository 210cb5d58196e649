"""The onnxruntime package, missing or there twice."""

import subprocess
import sys
from pathlib import Path

from fdmo_export.onnxruntime_package import installed_packages

WITHOUT = """
import sys

sys.modules["onnxruntime"] = None
from fdmo_core.errors import MissingRuntimeError
from fdmo_export import OnnxClassifier

try:
    OnnxClassifier("model.onnx")
except MissingRuntimeError as error:
    print(error)
"""


def install(folder: Path, *names: str) -> list[str]:
    for name in names:
        about = folder / f"{name.replace('-', '_')}-1.23.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.23.0\n")
    return [str(folder)]


def test_both_packages_are_found_where_both_are_installed(tmp_path: Path) -> None:
    path = install(tmp_path, "numpy", "onnxruntime-gpu", "onnxruntime")

    assert installed_packages(path) == ["onnxruntime", "onnxruntime-gpu"]


def test_one_package_is_no_clash(tmp_path: Path) -> None:
    assert installed_packages(install(tmp_path, "ONNXRuntime_GPU")) == ["onnxruntime-gpu"]
    assert len(installed_packages()) == 1


def test_without_onnxruntime_the_extras_are_named() -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )

    assert result.stdout.startswith("onnxruntime is not installed (")
    assert '"fdmo[gpu]" on a machine with an NVIDIA GPU' in result.stdout
    assert result.stdout.endswith('"fdmo[cpu]" elsewhere, never both.\n')
