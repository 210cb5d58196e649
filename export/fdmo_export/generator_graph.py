"""The generator as it is traced: noise, classes and drawn features to artificial features."""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from fdmo_core.combination import dense_combination
from fdmo_core.errors import ExportError
from fdmo_core.interfaces import FeatureGenerator
from fdmo_export.tracing import to_graph

INPUT_NOISE = "noise"
"""Independent standard normal numbers; float32 (B, Z), and Z may be 0."""

INPUT_LABELS = "labels"
"""Classes to make features of; int64 (B,)."""

INPUT_DRAWN = "drawn"
"""Real features of each label's class, a set for each sample; float32 (B, S, F)."""

INPUT_MASK = "mask"
"""Optional: which of the drawn features there are, False for padding; bool (B, S)."""

OUTPUT_FEATURES = "features"
"""Artificial features; float32 (B, F)."""

OUTPUT_WEIGHTS = "weights"
"""What each stream took of each drawn feature: float32 (B, T, S), or (B, F, S) of each number."""

INPUTS = (INPUT_NOISE, INPUT_LABELS, INPUT_DRAWN, INPUT_MASK)
OUTPUTS = (OUTPUT_FEATURES, OUTPUT_WEIGHTS)


class DeployedGenerator(nn.Module):
    """What of a trained generator is deployed; its opponents stay behind.

    Args:
        generator: Trained, in evaluation mode, on the CPU.
    """

    def __init__(self, generator: FeatureGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return artificial features and their weights; see the names above.

        Args:
            noise: Shape ``(B, Z)``, float32.
            labels: Shape ``(B,)``, int64.
            drawn: Shape ``(B, S, F)``, float32.
            mask: Shape ``(B, S)``, or with axes of length 1 that stand for all; bool.

        Raises:
            ExportError: The generator cannot do without randomness of its own.
        """
        weights = self.generator.weigh(noise, labels, drawn, mask.expand(drawn.shape[:2]))
        return dense_combination(weights, drawn, self.generator.stream_dims), weights


def trace_generator(
    deployed: DeployedGenerator, noise: Tensor, labels: Tensor, drawn: Tensor
) -> onnx.ModelProto:
    """Return the model, in which the batch may have any size.

    So may the sets, if the weights follow them; else their width is fixed to S.

    Args:
        deployed: In evaluation mode.
        noise: Of at least two samples, for a batch of one is baked in. Shape ``(B, Z)``.
        labels: Shape ``(B,)``.
        drawn: Shape ``(B, S, F)``.

    Raises:
        ExportError: The generator cannot be exported or traced, or the result is no valid ONNX.
    """
    example = (noise, labels, drawn, torch.ones(1, 1, dtype=torch.bool))
    deployed(*example)  # a generator that refuses says so itself
    batch: Any = torch.export.Dim("batch")
    width: Any = torch.export.Dim.AUTO
    try:
        model = to_graph(
            deployed,
            example,
            ({0: batch}, {0: batch}, {0: batch, 1: width}, {}),
            input_names=INPUTS,
            output_names=OUTPUTS,
        )
        _name_axes(model)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the exporter's many types, raised by whatever a generator does
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"The generator cannot be written as ONNX: {type(error).__name__}: {reason} Expected a "
            f"weigh() without branches that depend on the values of tensors. Change the generator, "
            f"or choose another one."
        ) from error
    return model


def takes_any_width(model: onnx.ModelProto) -> bool:
    """Return whether a set of drawn features may have any number of them."""
    return not _width_of_weights(model).dim_value


def _name_axes(model: onnx.ModelProto) -> None:
    """Give axes their names, and the mask its default: everything that is given was drawn."""
    inputs = {one.name: one.type.tensor_type.shape.dim for one in model.graph.input}
    width = _width_of_weights(model)
    if width.dim_value:
        inputs[INPUT_DRAWN][1].dim_value = width.dim_value
    else:
        inputs[INPUT_DRAWN][1].dim_param = width.dim_param = "samples"
    inputs[INPUT_MASK][0].dim_param, inputs[INPUT_MASK][1].dim_param = "masks", "mask_width"
    default = numpy_helper.from_array(np.ones((1, 1), dtype=np.bool_), INPUT_MASK)
    model.graph.initializer.append(default)


def _width_of_weights(model: onnx.ModelProto) -> Any:
    (weights,) = (one for one in model.graph.output if one.name == OUTPUT_WEIGHTS)
    return weights.type.tensor_type.shape.dim[2]
