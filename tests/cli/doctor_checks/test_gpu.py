"""The driver, and what a GPU asks of onnxruntime; a stand-in for NVIDIA's library answers."""

import ctypes
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from fdmo_cli.doctor_checks.gpu import DEVICE_FILES, LIBRARY, check_driver, num_gpus
from fdmo_cli.doctor_checks.onnxruntime import check_packages, check_provider
from fdmo_export.onnxruntime_package import installed_packages


class Driver:
    """Answers as NVIDIA's library does."""

    def __init__(self, *, error: int = 0, devices: int = 1) -> None:
        self.error, self.devices = error, devices

    def cuInit(self, _: int) -> int:  # noqa: N802
        return self.error

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.devices
        return 0

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: N802
        number._obj.value = 12080
        return 0


def install(monkeypatch: pytest.MonkeyPatch, driver: Driver | None) -> None:
    """Put a driver in the place of this machine's, or none."""
    load = ctypes.CDLL

    def load_other(name: str, *arguments: Any, **options: Any) -> Any:
        if name != LIBRARY:
            return load(name, *arguments, **options)
        if driver is None:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return driver

    monkeypatch.setattr(ctypes, "CDLL", load_other)


def test_a_driver_tells_its_devices_and_newest_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Driver(devices=2))

    found = check_driver()

    assert (found.status, found.found) == ("ok", "an NVIDIA driver for CUDA up to 12.8; 2 GPU(s)")
    assert num_gpus() == 2


def test_no_driver_is_fine_on_a_machine_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    monkeypatch.setattr("fdmo_cli.doctor_checks.gpu.DEVICE_FILES", ())

    found = check_driver()

    assert (found.status, found.found) == ("ok", "no NVIDIA driver; everything runs on the CPU")
    assert num_gpus() == 0


def test_a_device_without_its_driver_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, None)
    monkeypatch.setattr("fdmo_cli.doctor_checks.gpu.DEVICE_FILES", (*DEVICE_FILES, str(tmp_path)))

    found = check_driver()

    assert found.status == "warning"
    assert found.found.endswith(f", but no {LIBRARY}: this process cannot reach the GPU")
    assert "docker run --gpus all" in found.advice


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ("", "an NVIDIA driver; CUDA_VISIBLE_DEVICES='' hides its devices"),
        (None, "an NVIDIA driver without a device; everything runs on the CPU"),
    ],
)
def test_a_driver_without_devices_says_why(
    hidden: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, Driver(error=100))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)

    found = check_driver()

    assert (found.status, found.found) == ("ok", message)
    assert num_gpus() == 0


def test_a_driver_that_does_not_start_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Driver(error=999))

    found = check_driver()

    assert found.status == "problem"
    assert found.found == "the NVIDIA driver does not start (CUDA error 999)"


def test_a_gpu_beside_onnxruntime_for_the_cpu_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, Driver())
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, None)
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.setattr("sys.path", [str(tmp_path)])

    found = check_packages()

    assert found.status == "problem"
    assert found.found == "not installed: nothing can be exported, and no exported file runs"
    assert found.advice == "Run 'pip install \"fdmo[cpu]\"'."


def test_one_package_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)

    (package,) = installed_packages()

    assert check_packages().found == f"{package} {version(package)}"


@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="onnxruntime is built for the CPU",
)
def test_a_provider_without_its_library_is_a_problem_only_where_there_is_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    install(monkeypatch, None)
    without_gpu = check_provider("cuda")
    install(monkeypatch, Driver())
    with_gpu = check_provider("cuda")

    name = "CUDAExecutionProvider is in this build, but"
    assert without_gpu.status == "ok"
    assert without_gpu.found.startswith(f"{name} there is no GPU: lib")
    if with_gpu.status != "ok":  # CUDA's libraries are not on this machine
        assert with_gpu.status == "problem"
        assert with_gpu.found.startswith(f"{name} does not start: lib")
        assert with_gpu.found.endswith(" is missing")
        assert with_gpu.advice.startswith("Install ")
