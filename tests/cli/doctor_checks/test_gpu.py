"""The driver and its devices."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fdmo_cli.doctor_checks.gpu import DEVICE_FILES, LIBRARY, check_driver, num_gpus

UseDriver = Callable[..., None]


def test_a_driver_tells_its_devices_and_newest_cuda(use_driver: UseDriver) -> None:
    use_driver(devices=2)

    found = check_driver()

    assert (found.status, found.found) == ("ok", "an NVIDIA driver for CUDA up to 12.8; 2 GPU(s)")
    assert num_gpus() == 2


def test_no_driver_is_fine_on_a_machine_without_a_gpu(
    use_driver: UseDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_driver(present=False)
    monkeypatch.setattr("fdmo_cli.doctor_checks.gpu.DEVICE_FILES", ())

    found = check_driver()

    assert (found.status, found.found) == ("ok", "no NVIDIA driver; everything runs on the CPU")
    assert num_gpus() == 0


def test_a_device_without_its_driver_is_a_warning(
    tmp_path: Path, use_driver: UseDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_driver(present=False)
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
    hidden: str | None, message: str, use_driver: UseDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_driver(error=100)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)

    found = check_driver()

    assert (found.status, found.found) == ("ok", message)
    assert num_gpus() == 0


def test_a_driver_that_does_not_start_is_a_problem(use_driver: UseDriver) -> None:
    use_driver(error=999)

    found = check_driver()

    assert found.status == "problem"
    assert found.found == "the NVIDIA driver does not start (CUDA error 999)"
