"""What ends up in the exported graph can be exported, and is the same there."""

import warnings
from typing import Any

import torch
from torch import Tensor

from fdmo_core.classifier import CosineClassifier, LinearClassifier
from fdmo_core.testing.expectations import NotApplicable, expect
from fdmo_core.testing.rebalancers import STEPS, rebalancer_of, stepped
from fdmo_core.testing.specimens import Specimen, specimen_of

OPSET = 18
TOLERANCE = 1e-3  # of the largest value: another library adds up in another order
BATCHES = (1, 2, 5)


def check_is_the_same_in_onnxruntime(component: type[Any], config: Any) -> None:
    """Exported to ONNX once, it gives the same numbers there for batches of one, two and five."""
    try:
        import onnxruntime
    except ImportError as error:
        raise NotApplicable(
            f"onnxruntime cannot be imported ({error}); install fdmo[cpu] or fdmo[gpu]."
        ) from error
    found = specimen_of(component, config)
    session = onnxruntime.InferenceSession(_exported(found), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]  # without those that do not matter
    for size in BATCHES:
        given = {
            name: one[:size].numpy()
            for name, one in zip(_names(found), found.inputs, strict=True)
            if name in names
        }
        try:
            answers = map(torch.from_numpy, session.run(None, given))
        except Exception as error:  # of onnxruntime's own types
            raise AssertionError(
                f"For a batch of {size} the exported file raises {type(error).__name__}: {error} "
                f"Expected it to take any: the size of the example must not become part of the "
                f"graph. See fdmo_core.{found.read}."
            ) from error
        for one, other in zip(answers, found.outputs(slice(size)), strict=True):
            expect(
                one.shape == other.shape
                and (one - other).abs().max() <= TOLERANCE * other.abs().max(),
                f"For a batch of {size} onnxruntime gives {_difference(one, other)}. Expected the "
                f"same as PyTorch: make shapes from tensors' sizes, and branch on no value.",
                read=found.read,
            )


def check_ends_with_a_classifier_that_is_kept(component: type[Any], config: Any) -> None:
    """After its steps its classifier is one of the two that run folders and exported files hold."""
    rebalancer = stepped(rebalancer_of(component, config), range(STEPS))
    kept = (LinearClassifier, CosineClassifier)
    expect(
        isinstance(rebalancer.classifier, kept),
        f"classifier is a {type(rebalancer.classifier).__name__}. Expected a LinearClassifier or a "
        f"CosineClassifier of fdmo_core.classifier, or the run can be neither saved nor exported.",
        read="Rebalancer.classifier",
    )


def _exported(found: Specimen) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            program = torch.onnx.export(
                found.module,
                found.inputs,
                input_names=_names(found),
                dynamic_shapes=_shapes(found),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter's many types
        reason = " ".join(str(error).split())[:300]
        raise AssertionError(
            f"It cannot be exported to ONNX: {type(error).__name__}: {reason} Expected a forward "
            f"that torch.export can follow for any size of batch: without branches that depend on "
            f"the values of tensors. See fdmo_core.{found.read}."
        ) from error
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


def _names(found: Specimen) -> list[str]:
    return [f"input_{index}" for index in range(len(found.inputs))]


def _shapes(found: Specimen) -> tuple[dict[int, Any], ...]:
    batch = torch.export.Dim("batch")
    free_axes = found.free_axes or ((),) * len(found.inputs)
    return tuple({0: batch, **dict.fromkeys(axes, torch.export.Dim.AUTO)} for axes in free_axes)


def _difference(one: Tensor, other: Tensor) -> str:
    if one.shape != other.shape:
        return f"the shape {tuple(one.shape)} where PyTorch gives {tuple(other.shape)}"
    return f"numbers that differ by up to {(one - other).abs().max():g}"
