"""Eight-bit integers: weights per channel, activations by their range on training images."""

import tempfile
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import Any

import onnx

from fdmo_export.network_part import LAYER_TYPES, NetworkPart
from fdmo_export.sessions import Feed

PASSING_TYPES = ("Relu", "Clip", "MaxPool", "Add", "Reshape", "Flatten", "Transpose")
"""Operators that work on integers as they come, so that two layers need no detour by floats."""

REDUCE_RANGE = True  # weights of 7 bits: see quantize


def measure_ranges(part: NetworkPart, feeds: Iterable[Feed]) -> Any:
    """Return the least and greatest value of what goes into and out of the layers.

    Args:
        part: At fp32.
        feeds: Inputs of the part's model, a batch at a time.

    Returns:
        onnxruntime's ``TensorsData``.
    """
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "part.onnx"
        onnx.save_model(part.model, plain)
        calibrator = create_calibrator(
            plain,
            [*LAYER_TYPES, *PASSING_TYPES],
            str(Path(folder) / "observed.onnx"),
            CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Reader(feeds))
        return calibrator.compute_data()


def quantize(part: NetworkPart, ranges: Any, keep: Set[str]) -> onnx.ModelProto:
    """Return the network's part with int8 weights and uint8 activations, as QDQ pairs.

    Weights have a scale for each output channel and 7 bits. A processor without VNNI or a like
    instruction adds two products of 8 bits in a 16-bit register that saturates; with 7 bits the
    largest sum, 2 x 255 x 64, fits. So the file gives the same answers on every processor.

    Products with a matrix give floats: scores are not rounded to 256 steps.

    Source: Jacob et al. 2018 for the arithmetic; Krishnamoorthi 2018 for a scale per channel.

    Args:
        part: At fp32; it stays as it is.
        ranges: Of :func:`measure_ranges`.
        keep: Names of the layers that stay at fp32.
    """
    from onnxruntime.quantization import QDQQuantizer, QuantType

    copy: onnx.ModelProto = onnx.shape_inference.infer_shapes(part.model)
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=REDUCE_RANGE,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[
            one.name
            for one in copy.graph.node
            if one.name in part.layers or one.op_type in PASSING_TYPES
        ],
        nodes_to_exclude=sorted(keep),
        op_types_to_quantize=[*LAYER_TYPES, *PASSING_TYPES],
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
    )
    quantizer.quantize_model()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


class _Reader:
    """Gives batches to onnxruntime's calibration, one after the other."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)
