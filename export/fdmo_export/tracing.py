"""From the module to a clean ONNX model: traced, optimised, with defaults for its dials."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx_ir.passes.common import DeduplicateInitializersPass
from torch import Tensor, nn

from fdmo_core.errors import ExportError
from fdmo_export.contract import (
    INPUT_BOX,
    INPUT_TARGET_PRIOR,
    INPUT_TAU,
    OPSET,
    WHOLE_IMAGE,
)
from fdmo_export.graph import DeployedClassifier

DEFAULT_TAU = 1.0


def trace(deployed: DeployedClassifier, inputs: Tensor) -> onnx.ModelProto:
    """Return the model; every input but the first has a default.

    Args:
        deployed: On the CPU, in evaluation mode.
        inputs: At least one sample as the module takes it. Images with a box may have any size.

    Raises:
        ExportError: The network cannot be traced.
    """
    try:
        model = _traced(deployed, inputs)
        _add_defaults(model, deployed)
    except Exception as error:  # the exporter's many types, raised by whatever an extractor does
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"The network cannot be written as ONNX: {type(error).__name__}: {reason} Expected "
            f"extractors without branches that depend on the values of images. Change the "
            f"extractor, or choose another one."
        ) from error
    return model


def _traced(deployed: DeployedClassifier, inputs: Tensor) -> onnx.ModelProto:
    rows = torch.arange(2) % len(inputs)  # two samples: a batch of one is baked in
    prior = deployed.source_prior.clone()  # the buffer itself would become one with the input
    example: tuple[Tensor, ...] = (inputs[rows], prior, torch.tensor(DEFAULT_TAU))
    dims: dict[int, Any] = {0: torch.export.Dim("batch")}
    shapes: tuple[dict[int, Any], ...] = (dims, {}, {})
    if deployed.preprocessing:
        example += (torch.tensor([WHOLE_IMAGE]),)
        dims |= {1: torch.export.Dim("height"), 2: torch.export.Dim("width")}
        shapes += ({},)
    return to_graph(
        deployed,
        example,
        shapes,
        input_names=deployed.input_names,
        output_names=deployed.output_names,
    )


def to_graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    shapes: tuple[dict[int, Any], ...],
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> onnx.ModelProto:
    """Return a module as PyTorch's tracer writes it, cleaned.

    Args:
        module: On the CPU, in evaluation mode.
        example: A value of each input.
        shapes: For each input the names of the axes that may have any length.
        input_names: In the order of the example.
        output_names: In the order of what the module returns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module,
            example,
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return _clean(program.model_proto)


def _clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without a weight that is there twice, and without the tracer's notes."""
    graph = onnx_ir.from_proto(model)
    DeduplicateInitializersPass(size_limit=2**31)(graph)
    cleaned: onnx.ModelProto = onnx_ir.to_proto(graph)
    for node in cleaned.graph.node:
        del node.metadata_props[:]
    del cleaned.graph.value_info[:]  # a box for each image has other shapes than the one traced
    return cleaned


def _add_defaults(model: onnx.ModelProto, deployed: DeployedClassifier) -> None:
    """Give the optional inputs the values that hold when an application gives none."""
    defaults: dict[str, NDArray[np.float32]] = {
        INPUT_TARGET_PRIOR: deployed.source_prior.numpy(),
        INPUT_TAU: np.array(DEFAULT_TAU, dtype=np.float32),
        INPUT_BOX: np.array([WHOLE_IMAGE], dtype=np.float32),
    }
    for one in model.graph.input[1:]:
        model.graph.initializer.append(numpy_helper.from_array(defaults[one.name], one.name))
        if one.name == INPUT_BOX:
            one.type.tensor_type.shape.dim[0].dim_param = "boxes"
