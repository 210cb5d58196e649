"""The onnxruntime package: imported when it is needed, and whether it is there twice."""

from collections.abc import Sequence
from importlib.metadata import distributions
from types import ModuleType

from fdmo_core.errors import MissingRuntimeError

PACKAGES = ("onnxruntime", "onnxruntime-gpu")  # both supply the module onnxruntime


def import_onnxruntime() -> ModuleType:
    """Return the onnxruntime module.

    Raises:
        MissingRuntimeError: Neither of the two packages that supply it is installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingRuntimeError(
            f"onnxruntime is not installed ({error}). Expected one of fdmo's extras. Install "
            f'"fdmo[gpu]" on a machine with an NVIDIA GPU (it runs on the CPU as well) or '
            f'"fdmo[cpu]" elsewhere, never both.'
        ) from error
    module: ModuleType = onnxruntime
    return module


def installed_packages(path: Sequence[str] | None = None) -> list[str]:
    """Return which packages that supply onnxruntime are installed; two overwrite each other.

    Args:
        path: Folders to look in; by default those that modules are imported from.
    """
    found = distributions() if path is None else distributions(path=list(path))
    names = {one.metadata["Name"].lower().replace("_", "-") for one in found}
    return [one for one in PACKAGES if one in names]
