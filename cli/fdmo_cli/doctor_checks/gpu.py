"""The NVIDIA driver: is there a GPU, and can this process reach it?"""

import ctypes
import os
import sys
from pathlib import Path

from fdmo_cli.doctor_checks.finding import OK, PROBLEM, WARNING, Finding

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg")  # of Linux, and of Linux inside Windows
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


def num_gpus() -> int:
    """Return how many GPUs the driver offers to this process."""
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        return 0
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def check_driver() -> Finding:
    """Look for the driver's library and its devices; neither is needed on the CPU."""
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        return _without_driver()
    error = driver.cuInit(0)
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if error == NO_DEVICE and hidden is not None:
        return Finding(OK, f"an NVIDIA driver; CUDA_VISIBLE_DEVICES='{hidden}' hides its devices")
    if error == NO_DEVICE:
        return Finding(OK, "an NVIDIA driver without a device; everything runs on the CPU")
    if error:
        return Finding(
            PROBLEM,
            f"the NVIDIA driver does not start (CUDA error {error})",
            "Run 'nvidia-smi'. If it fails too, install the driver again and restart the machine.",
        )
    version = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    supported = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return Finding(OK, f"an NVIDIA driver for CUDA up to {supported}; {num_gpus()} GPU(s)")


def _without_driver() -> Finding:
    seen = [file for file in DEVICE_FILES if Path(file).exists()]
    if seen:
        return Finding(
            WARNING,
            f"there is {seen[0]}, but no {LIBRARY}: this process cannot reach the GPU",
            "Install the NVIDIA driver. In a container, start it with the NVIDIA container "
            "toolkit, for instance 'docker run --gpus all'.",
        )
    return Finding(OK, "no NVIDIA driver; everything runs on the CPU")
