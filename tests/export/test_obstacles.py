"""What keeps a provider from starting, named as the system's loader names it."""

import ctypes.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fdmo_export.obstacles import find_obstacle, missing_library

FOREIGN = "libfdmo_of_nobody.so.7"


def build(folder: Path, name: str, *needs: Path) -> Path:
    """Return a shared library that needs others, or skip the test."""
    path = folder / name
    command = [
        "cc",
        "-shared",
        "-o",
        str(path),
        f"-Wl,--no-as-needed,-soname,{name}",
        *map(str, needs),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a C compiler")
    return path


def runtime(file: str, *providers: str) -> Any:
    """An onnxruntime of another build, in so far as it is asked for."""
    return cast(
        Any,
        SimpleNamespace(
            __file__=file, __version__="1.23.0", get_available_providers=lambda: list(providers)
        ),
    )


def test_a_library_that_is_not_there_is_missing_itself() -> None:
    assert missing_library(FOREIGN) == FOREIGN


def test_what_a_library_needs_and_is_not_there_is_named(tmp_path: Path) -> None:
    needed = build(tmp_path, FOREIGN)
    library = build(tmp_path, "libown.so", needed)
    needed.unlink()

    assert missing_library(str(library)) == FOREIGN


def test_a_library_that_loads_misses_nothing() -> None:
    name = ctypes.util.find_library("c")

    assert name is not None
    assert missing_library(name) is None


def test_a_build_without_the_provider_says_which_package_has_it() -> None:
    found = find_obstacle(
        runtime("", "CPUExecutionProvider"),
        provider="cuda",
        onnxruntime_name="CUDAExecutionProvider",
    )

    assert found == (
        "onnxruntime 1.23.0 is built without it",
        "Uninstall onnxruntime and install onnxruntime-gpu",
    )


def test_two_packages_that_overwrote_each_other_are_both_to_be_uninstalled(
    tmp_path: Path,
) -> None:
    about = tmp_path / "onnxruntime-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime\nVersion: 1.0\n")
    other = tmp_path / "onnxruntime_gpu-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    script = (
        "import sys; from types import SimpleNamespace\n"
        "from fdmo_export.obstacles import find_obstacle\n"
        "runtime = SimpleNamespace(__version__='1', get_available_providers=lambda: [])\n"
        "print(*find_obstacle(runtime, provider='cuda', onnxruntime_name='CUDA'), sep='\\n')"
    )

    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(tmp_path)!r})\n{script}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.splitlines() == [
        "onnxruntime and onnxruntime-gpu are both installed, and one has overwritten the other",
        "Uninstall both ('pip uninstall onnxruntime onnxruntime-gpu') and install "
        "onnxruntime-gpu alone",
    ]
