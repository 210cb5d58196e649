"""Python, fdmo, PyTorch and plugins: is what fdmo stands on there, and does it load?"""

import os
import platform
import sys
import warnings
from importlib.metadata import metadata, version

from fdmo_cli.doctor_checks.finding import OK, PROBLEM, WARNING, Finding
from fdmo_cli.doctor_checks.gpu import num_gpus


def check_python() -> Finding:
    """Compare Python with what fdmo's metadata ask for."""
    asked = metadata("fdmo")["Requires-Python"]
    found = f"{platform.python_version()} at {sys.executable}; fdmo needs {asked}"
    if is_within(sys.version_info[:2], asked):
        return Finding(OK, found)
    return Finding(
        PROBLEM, found, "Make an environment with such a Python and install fdmo into it."
    )


def is_within(release: tuple[int, int], asked: str) -> bool:
    """Return whether a Python is one of those that metadata ask for.

    Args:
        release: Such as ``(3, 12)``.
        asked: Bounds such as ``>=3.11,<3.14``, in any order.
    """
    for bound in asked.replace(" ", "").split(","):
        at_least = bound.startswith(">=")
        major, minor = (int(part) for part in bound.lstrip("<>=").split(".")[:2])
        if (release >= (major, minor)) is not at_least:
            return False
    return True


def check_fdmo() -> Finding:
    """Name the version of fdmo."""
    return Finding(OK, version("fdmo"))


def check_torch() -> Finding:
    """Import PyTorch; exported files run without it."""
    try:
        import torch
    except Exception as error:  # a library that is missing, or of another version
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding(
            PROBLEM,
            f"cannot be imported: {reason}",
            "Exported files run without it; for everything else install it again: 'pip install "
            "--force-reinstall torch torchvision'.",
        )
    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for the CPU"
    return Finding(OK, f"{torch.__version__}, built {build}, {torch.get_num_threads()} threads")


def check_cuda() -> Finding:
    """Ask PyTorch for a CUDA device where the driver has one."""
    import torch

    if not num_gpus():
        return Finding(OK, "no GPU for PyTorch; training runs on the CPU")
    if torch.version.cuda is None:
        return Finding(
            WARNING,
            "there is a GPU, but PyTorch is built for the CPU: training does not use it",
            "Install a CUDA build as https://pytorch.org/get-started/locally shows.",
        )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        is_available = torch.cuda.is_available()
    if is_available:
        names = [torch.cuda.get_device_name(one) for one in range(torch.cuda.device_count())]
        return Finding(OK, ", ".join(names))
    reason = " ".join(str(one.message) for one in said) or "no reason given"
    return Finding(
        PROBLEM,
        f"there is a GPU, but PyTorch for CUDA {torch.version.cuda} cannot use it: {reason}",
        "Update the NVIDIA driver, or install PyTorch for a CUDA that the driver supports.",
    )


def check_plugins() -> Finding:
    """Load every installed plugin."""
    from fdmo_core.plugin_loading import STRICT_VARIABLE, load_plugins

    plugins = load_plugins(environ={**os.environ, STRICT_VARIABLE: "0"})
    found = f"{len(plugins.components)} components"
    if not plugins.failures:
        return Finding(OK, found)
    return Finding(
        PROBLEM,
        f"{found}. " + " ".join(f"{str(one).rstrip('.')}." for one in plugins.failures),
        "Repair or uninstall the distribution that each line names.",
    )
