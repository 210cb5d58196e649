"""A stand-in for NVIDIA's driver, which few machines of the tests have."""

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from fdmo_cli.doctor_checks.gpu import LIBRARY


class Driver:
    """Answers as NVIDIA's library does."""

    def __init__(self, error: int, devices: int) -> None:
        self.error, self.devices = error, devices

    def cuInit(self, _: int) -> int:  # noqa: N802
        return self.error

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.devices
        return 0

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: N802
        number._obj.value = 12080
        return 0


@pytest.fixture
def use_driver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that puts a driver in the place of this machine's, or none."""
    load = ctypes.CDLL

    def use(*, present: bool = True, error: int = 0, devices: int = 1) -> None:
        def load_other(name: str, *arguments: Any, **options: Any) -> Any:
            if name != LIBRARY:
                return load(name, *arguments, **options)
            if not present:
                raise OSError(f"{name}: cannot open shared object file: No such file or directory")
            return Driver(error, devices)

        monkeypatch.setattr(ctypes, "CDLL", load_other)

    return use
