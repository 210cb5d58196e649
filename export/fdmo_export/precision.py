"""The precision of weights and sums of a file, and the gate that a lower one must pass."""

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import onnx

from fdmo_core.errors import ConfigError
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Splits
from fdmo_export.validation import Scored

Precision = Literal["fp32", "fp16", "int8"]
FP32: Precision = "fp32"


@dataclass(frozen=True)
class PrecisionReport:
    """What a precision costs, measured on validation images.

    Attributes:
        precision: Which one.
    """

    precision: Precision

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {"name": self.precision}


def at_precision(
    exact: onnx.ModelProto,
    precision: Precision,
    trained: TrainedRun,
    splits: Splits,
    scored: Scored,
) -> tuple[onnx.ModelProto, PrecisionReport]:
    """Return the model at a precision, with what it costs.

    Args:
        exact: At fp32; it stays as it is.
        precision: The one that is asked for.
        trained: The run.
        splits: Its data; training images calibrate.
        scored: Validation images, with the scores of the trained network.
    """
    return exact, PrecisionReport(precision)


def require_precision(name: str) -> Precision:
    """Return the precision of a name.

    Raises:
        ConfigError: There is none.
    """
    if name not in get_args(Precision):
        raise ConfigError(
            f"precision is {name!r}. Expected one of {', '.join(get_args(Precision))}. Choose one "
            f"of these."
        )
    return cast(Precision, name)
