"""The precision of weights and sums of a file, and the proof that a lower one costs little."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from typing import Any, Literal

import onnx

from fdmo_core.errors import ExportError
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Splits
from fdmo_export.gate import Gate, GateLimits, judge
from fdmo_export.half import to_half
from fdmo_export.layer_search import Lowered, lower_what_passes
from fdmo_export.network_part import NetworkPart, cut, put_back, with_outputs
from fdmo_export.quantization import measure_ranges, quantize
from fdmo_export.sessions import Letterboxed, answers, logits_of
from fdmo_export.validation import Scored, balanced_rows

Precision = Literal["fp32", "fp16", "int8"]
FP32: Precision = "fp32"
CALIBRATION_IMAGES = 300  # of the training split, as many of each class as there are
HARM_IMAGES = 30  # of those, on which the harm of a layer is measured


@dataclass(frozen=True)
class PrecisionReport:
    """What a precision costs, measured on validation images.

    Attributes:
        precision: Which one.
        gate: Against the trained network; None at fp32.
        layers: How many layers could be lowered.
        layers_in_fp32: Names of the weights of those that were not, for they broke the gate.
        calibration_images: Training images that the ranges of int8 were measured on.
    """

    precision: Precision
    gate: Gate | None = None
    layers: int = 0
    layers_in_fp32: tuple[str, ...] = ()
    calibration_images: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        if self.gate is None:
            return {"name": self.precision}
        return {
            "name": self.precision,
            **self.gate.as_dict(),
            "layers": self.layers,
            "layers_in_fp32": list(self.layers_in_fp32),
            "calibration_images": self.calibration_images,
        }

    def lines(self) -> Iterator[str]:
        """Yield what a person should know of a lower precision, a line each."""
        if self.gate is None:
            return
        yield from self.gate.lines()
        if self.layers_in_fp32:
            yield (
                f"{len(self.layers_in_fp32)} of {self.layers} layers stay at fp32, for they broke "
                f"the gate: {', '.join(self.layers_in_fp32)}"
            )


def at_precision(
    exact: onnx.ModelProto,
    precision: Precision,
    trained: TrainedRun,
    splits: Splits,
    scored: Scored,
    limits: GateLimits,
) -> tuple[onnx.ModelProto, PrecisionReport]:
    """Return the model at a precision, with what it costs.

    The lowered model gets the validation images letterboxed as the trained network got them, and
    is compared with that network; so a drop is the precision's alone, and nothing else's.

    Args:
        exact: At fp32; it stays as it is.
        precision: The one that is asked for.
        trained: The run.
        splits: Its data; training images calibrate.
        scored: Validation images, with the scores of the trained network.
        limits: What a lower precision may cost.

    Raises:
        ExportError: There are no validation images or no layers, or the precision costs too much
            though half of the layers stay at fp32.
    """
    if precision == FP32:
        return exact, PrecisionReport(precision)
    part = cut(exact)
    _require_evidence(scored, part, precision)
    rows = balanced_rows(splits.train.labels, CALIBRATION_IMAGES, seed=trained.run.core.seed)
    calibration = Letterboxed(splits.train, rows, trained.image_size)
    step = max(1, len(rows) // HARM_IMAGES)
    some = Letterboxed(splits.train, rows[::step][:HARM_IMAGES], trained.image_size)
    validation = Letterboxed(scored.split, scored.rows, trained.image_size)
    lower = _lowering(precision, part, exact, calibration)

    def gate_of(model: onnx.ModelProto) -> Gate:
        return judge(
            scored.logits.numpy(),
            logits_of(model, validation),
            scored.labels.numpy(),
            trained.class_counts,
            limits,
        )

    found = lower_what_passes(
        list(part.layers),
        lambda keep: put_back(exact, lower(keep)),
        gate_of,
        lambda model: logits_of(model, some),
    )
    report = PrecisionReport(
        precision,
        found.gate,
        layers=len(part.layers),
        layers_in_fp32=tuple(part.layers[one] for one in found.kept),
        calibration_images=len(rows) if precision == "int8" else 0,
    )
    _require_pass(report, found)
    onnx.checker.check_model(found.model, full_check=True)
    return found.model, report


def _lowering(
    precision: Precision, part: NetworkPart, exact: onnx.ModelProto, images: Letterboxed
) -> Callable[[Set[str]], onnx.ModelProto]:
    """Return what makes another form of the network's part, without the layers it is given."""
    if precision == "fp16":
        return lambda keep: to_half(part, keep)
    names = [one.name for one in part.model.graph.input]
    ranges = measure_ranges(part, answers(with_outputs(exact, names), names, images))
    return lambda keep: quantize(part, ranges, keep)


def _require_evidence(scored: Scored, part: NetworkPart, precision: Precision) -> None:
    if not len(scored.labels):
        raise ExportError(
            f"The validation split holds no images, so nothing can show what {precision} costs. "
            f"Expected at least one. Export with --precision fp32, or give the data a validation "
            f"split."
        )
    if not part.layers:
        raise ExportError(
            f"The network has no convolution and no product with a stored matrix, so nothing of it "
            f"can be computed in {precision}. Expected at least one on the way to the scores. "
            f"Export with --precision fp32."
        )


def _require_pass(report: PrecisionReport, found: Lowered) -> None:
    if not found.gate.passes:
        lines = "\n  ".join(report.lines())
        raise ExportError(
            f"The {report.precision} file answers worse than the trained network:\n  {lines}\n"
            f"Expected drops within the limits with at least half of the layers lowered. Nothing "
            f"was written; export with another --precision."
        )
