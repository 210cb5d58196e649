"""The packages of onnxruntime and their providers, with and without a GPU."""

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import onnxruntime
import pytest

from fdmo_cli.doctor_checks.runtimes import check_packages, check_provider
from fdmo_export.onnxruntime_package import installed_packages

UseDriver = Callable[..., None]


def test_a_gpu_beside_onnxruntime_for_the_cpu_is_a_warning(
    tmp_path: Path, use_driver: UseDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_driver()
    info = tmp_path / "onnxruntime-1.23.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime\nVersion: 1.23.0\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])

    found = check_packages()

    assert found.status == "warning"
    assert found.found == "onnxruntime 1.23.0 is built for the CPU, but there is a GPU"
    assert found.advice == (
        "Run 'pip uninstall --yes onnxruntime onnxruntime-gpu', then 'pip install \"fdmo[gpu]\"'."
    )


def test_no_package_of_onnxruntime_is_a_problem(
    tmp_path: Path, use_driver: UseDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_driver(present=False)
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.setattr("sys.path", [str(tmp_path)])

    found = check_packages()

    assert found.status == "problem"
    assert found.found == "not installed: nothing can be exported, and no exported file runs"
    assert found.advice == "Run 'pip install \"fdmo[cpu]\"'."


def test_one_package_is_named_with_its_version(use_driver: UseDriver) -> None:
    use_driver(present=False)

    (package,) = installed_packages()

    assert check_packages().found == f"{package} {version(package)}"


@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="onnxruntime is built for the CPU",
)
def test_a_provider_without_its_library_is_a_problem_only_where_there_is_a_gpu(
    use_driver: UseDriver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    use_driver(present=False)
    without_gpu = check_provider("cuda")
    use_driver()
    with_gpu = check_provider("cuda")

    name = "CUDAExecutionProvider is in this build, but"
    assert without_gpu.status == "ok"
    assert without_gpu.found.startswith(f"{name} there is no GPU: lib")
    if with_gpu.status != "ok":  # CUDA's libraries are not on this machine
        assert with_gpu.status == "problem"
        assert with_gpu.found.startswith(f"{name} does not start: lib")
        assert with_gpu.found.endswith(" is missing")
        assert with_gpu.advice.startswith("Install ")
