"""Half precision: weights and sums of the layers in 16 bits."""

from collections.abc import Set

import onnx

from fdmo_export.network_part import NetworkPart

KEPT_TYPES = (
    "ReduceL1",
    "ReduceL2",
    "ReduceMean",
    "ReduceSum",
    "ReduceSumSquare",
    "GlobalAveragePool",
    "LayerNormalization",
    "InstanceNormalization",
    "Softmax",
    "Exp",
    "Pow",
)
"""Operators that stay at fp32: their sums lose digits in 16 bits, or leave the range."""


def to_half(part: NetworkPart, keep: Set[str]) -> onnx.ModelProto:
    """Return the network's part with weights and sums in fp16; inputs and outputs stay float32.

    Args:
        part: At fp32; it stays as it is.
        keep: Names of the layers that stay at fp32.
    """
    from onnxruntime.transformers.float16 import (
        DEFAULT_OP_BLOCK_LIST,
        convert_float_to_float16,
    )

    copy = onnx.ModelProto()
    copy.CopyFrom(part.model)
    converted: onnx.ModelProto = convert_float_to_float16(
        copy,
        keep_io_types=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *KEPT_TYPES],
        node_block_list=sorted(keep),
    )
    return converted
