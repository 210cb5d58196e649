"""Which layers have to stay at fp32: the most harmful first, until the gate passes."""

from collections.abc import Callable, Sequence, Set
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from fdmo_export.gate import Gate

Lower = Callable[[Set[str]], onnx.ModelProto]  # layers that stay at fp32 -> the lowered model


class Lowered(NamedTuple):
    """A model at a lower precision.

    Attributes:
        model: The whole graph.
        kept: Names of the layers that stayed at fp32.
        gate: What the precision costs.
    """

    model: onnx.ModelProto
    kept: tuple[str, ...]
    gate: Gate


def lower_what_passes(
    layers: Sequence[str],
    lower: Lower,
    gate_of: Callable[[onnx.ModelProto], Gate],
    logits_of: Callable[[onnx.ModelProto], NDArray[np.float32]],
) -> Lowered:
    """Return the model with as many layers lowered as the gate lets pass, or the last one tried.

    All layers are lowered first. If the gate does not pass, the most harmful ones stay at fp32:
    1, 2, 4 and so on, at last half of them. So a network of L layers is judged about log2(L) times.

    Args:
        layers: Names of the layers.
        lower: Makes the model.
        gate_of: Judges it.
        logits_of: Its scores of a few images, the same ones each time; they show what a layer by
            itself does to the scores.
    """
    ranked: list[str] = []
    for number in _numbers_to_keep(len(layers)):
        if number and not ranked:
            ranked = _by_harm(layers, lower, logits_of)
        kept = tuple(one for one in layers if one in ranked[:number])
        found = lower(set(kept))
        result = Lowered(found, kept, gate_of(found))
        if result.gate.passes:
            break
    return result


def _numbers_to_keep(num_layers: int) -> list[int]:
    """Return 0, the powers of two below half of the layers, and half of them, rounded down."""
    half = num_layers // 2
    powers = {2**power for power in range(half.bit_length()) if 2**power < half}
    return sorted({0, *powers, half})


def _by_harm(
    layers: Sequence[str],
    lower: Lower,
    logits_of: Callable[[onnx.ModelProto], NDArray[np.float32]],
) -> list[str]:
    """Return the layers by falling squared error of the scores when one alone is lowered."""
    exact = logits_of(lower(set(layers)))

    def harm(layer: str) -> float:
        alone = logits_of(lower(set(layers) - {layer}))
        error = float(((alone - exact) ** 2).mean())
        return error if np.isfinite(error) else np.inf

    return sorted(layers, key=harm, reverse=True)
