"""From a trained run to an ONNX file that another application loads.

The names are imported when they are first asked for: importing a module of this package, say to
export a run, need not wait for those that run a file, nor these for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fdmo_export.prediction import Prediction
    from fdmo_export.runtime import OnnxClassifier
    from fdmo_export.tensorrt import ShapeProfile

_HOME_OF = {
    "OnnxClassifier": "fdmo_export.runtime",
    "Prediction": "fdmo_export.prediction",
    "ShapeProfile": "fdmo_export.tensorrt",
}

__all__ = ["OnnxClassifier", "Prediction", "ShapeProfile"]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'fdmo_export' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
