"""What keeps an execution provider from starting, found before it is tried."""

import ctypes
import io
import os
import re
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from fdmo_export.onnxruntime_package import installed_packages

DRIVER = "libcuda.so.1"  # NVIDIA's, which no Python package brings
MISSING_LIBRARY = re.compile(r"(\S+): cannot open shared object file")


class Obstacle(NamedTuple):
    """Why a provider is not active.

    Attributes:
        what: Half a sentence.
        advice: What to do about it; the beginning of a sentence.
    """

    what: str
    advice: str


def find_obstacle(runtime: ModuleType, *, provider: str, onnxruntime_name: str) -> Obstacle | None:
    """Return what keeps a provider on a GPU from starting, as far as that can be seen before.

    onnxruntime itself goes on with the CPU and writes what it misses to stderr.

    Args:
        runtime: The onnxruntime module.
        provider: ``"cuda"`` or ``"tensorrt"``.
        onnxruntime_name: What onnxruntime calls it.
    """
    if onnxruntime_name not in runtime.get_available_providers():
        return _wrong_package(runtime)
    folder = Path(str(runtime.__file__)).parent / "capi"
    own = folder / f"libonnxruntime_providers_{provider}.so"
    if not own.is_file():  # no Linux; what is missing there is seen when the session is made
        return None
    if missing_library(DRIVER):  # without a GPU, nobody should be sent to install its libraries
        return Obstacle(f"{DRIVER} is missing", _how_to_get(DRIVER))
    with redirect_stdout(io.StringIO()):  # what it does not find is found and told below
        runtime.preload_dlls()  # of the packages that bring CUDA's libraries
    shared = folder / "libonnxruntime_providers_shared.so"
    try:
        ctypes.CDLL(str(shared), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return Obstacle(f"{shared.name} does not load ({error})", "Install onnxruntime-gpu again")
    missing = missing_library(str(own))
    return None if missing is None else Obstacle(f"{missing} is missing", _how_to_get(missing))


def missing_library(library: str) -> str | None:
    """Return what the system's loader does not find of a library: itself, or one that it needs."""
    try:
        ctypes.CDLL(library, mode=os.RTLD_LAZY)
    except OSError as error:
        found = MISSING_LIBRARY.match(str(error))
        return found[1] if found else None
    return None


def _wrong_package(runtime: ModuleType) -> Obstacle:
    packages = installed_packages()
    if len(packages) > 1:
        return Obstacle(
            f"{' and '.join(packages)} are both installed, and one has overwritten the other",
            f"Uninstall both ('pip uninstall {' '.join(packages)}') and install "
            f"onnxruntime-gpu alone",
        )
    return Obstacle(
        f"onnxruntime {runtime.__version__} is built without it",
        "Uninstall onnxruntime and install onnxruntime-gpu",
    )


def _how_to_get(library: str) -> str:
    if library == DRIVER:
        return "Install NVIDIA's driver, or give the container access to the GPU"
    if library.startswith(("libnvinfer", "libnvonnxparser")):
        return "Install TensorRT and put the folder of its libraries into LD_LIBRARY_PATH"
    return (
        "Install CUDA's libraries ('pip install \"onnxruntime-gpu[cuda,cudnn]\"') or put their "
        "folder into LD_LIBRARY_PATH"
    )
