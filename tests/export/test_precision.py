"""A file at another precision: proven on validation images, or not written."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from fdmo_core.config import Run
from fdmo_core.ensemble import Ensemble
from fdmo_core.errors import ExportError
from fdmo_core.registry import Registry
from fdmo_core.run_folder import TrainedRun, load_run
from fdmo_core.samples import Splits
from fdmo_export.gate import GateLimits
from fdmo_export.network_part import cut
from fdmo_export.precision import Precision, at_precision
from fdmo_export.sessions import open_session
from fdmo_export.validation import Scored, score

LAX = GateLimits(max_drop=0.3, max_few_shot_drop=0.5)  # of two images a class
LOWER: tuple[Precision, ...] = ("fp16", "int8")


@pytest.fixture(scope="module")
def sure(scored: Scored) -> Scored:
    """The validation images with the network's own answers as labels, so that each flip costs."""
    return replace(scored, labels=scored.logits.argmax(dim=1))


def with_outlier(exact: onnx.ModelProto, factor: float) -> onnx.ModelProto:
    """The same function with one channel between the first two layers larger by a factor.

    It is made larger where it is written and smaller where it is read; so 256 steps over its range
    leave nothing of its neighbours.
    """
    model = onnx.ModelProto()
    model.CopyFrom(exact)
    nodes = {one.name: one for one in model.graph.node}
    first, second = (nodes[name] for name in list(cut(model).layers)[:2])
    scales: dict[str, Callable[[Any], None]] = {
        first.input[1]: lambda array: array.__setitem__(0, array[0] * factor),
        first.input[2]: lambda array: array.__setitem__(0, array[0] * factor),
        second.input[1]: lambda array: array.__setitem__(np.s_[:, 0], array[:, 0] / factor),
    }
    for one in model.graph.initializer:
        if one.name in scales:
            array = numpy_helper.to_array(one).copy()
            scales[one.name](array)
            one.CopyFrom(numpy_helper.from_array(array, one.name))
    return model


def without_classifier(exact: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the last layer's weights turned round: the best class becomes the worst."""
    model = onnx.ModelProto()
    model.CopyFrom(exact)
    last = {one.name: one for one in model.graph.node}[list(cut(model).layers)[-1]]
    for one in model.graph.initializer:
        if one.name == last.input[1]:
            one.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(one), one.name))
    return model


def test_fp32_is_the_file_itself(
    exact: onnx.ModelProto, trained: TrainedRun, tiny_splits: Splits, scored: Scored
) -> None:
    model, report = at_precision(exact, "fp32", trained, tiny_splits, scored, GateLimits())

    assert model is exact
    assert report.as_dict() == {"name": "fp32"}
    assert list(report.lines()) == []


@pytest.mark.parametrize("precision", LOWER)
def test_the_report_says_what_was_measured_on_what(
    precision: Precision,
    exact: onnx.ModelProto,
    trained: TrainedRun,
    tiny_splits: Splits,
    sure: Scored,
) -> None:
    model, report = at_precision(exact, precision, trained, tiny_splits, sure, LAX)
    found = report.as_dict()

    assert found["name"] == precision
    assert found["images"] == len(tiny_splits.val.labels)
    assert set(found["drops"]) == {"top1", "acsa", "few_shot"}
    assert set(found["drops"]["acsa"]) == {"value", "interval", "limit"}
    assert found["drops"]["few_shot"]["limit"] == 0.5
    assert found["layers"] == 13
    assert found["layers_in_fp32"] == []
    expected = len(tiny_splits.train.labels) if precision == "int8" else 0
    assert found["calibration_images"] == expected
    assert model.ByteSize() < exact.ByteSize()


def test_twice_the_same_bytes(
    exact: onnx.ModelProto, trained: TrainedRun, tiny_splits: Splits, sure: Scored
) -> None:
    one, other = (at_precision(exact, "int8", trained, tiny_splits, sure, LAX)[0] for _ in range(2))

    assert one.SerializeToString() == other.SerializeToString()


def test_layers_that_break_the_gate_stay_at_fp32_and_are_named(
    exact: onnx.ModelProto, trained: TrainedRun, tiny_splits: Splits, sure: Scored
) -> None:
    damaged = with_outlier(exact, 1e6)

    model, report = at_precision(damaged, "int8", trained, tiny_splits, sure, LAX)

    names = list(cut(exact).layers.values())[:2]
    assert report.gate is not None
    assert report.gate.passes
    assert list(report.layers_in_fp32) == names
    assert list(report.lines())[-1] == (
        f"2 of 13 layers stay at fp32, for they broke the gate: {', '.join(names)}"
    )
    assert open_session(model).get_inputs()[0].name == "image"


def test_a_file_that_answers_worse_is_refused_with_every_figure(
    exact: onnx.ModelProto, trained: TrainedRun, tiny_splits: Splits, sure: Scored
) -> None:
    with pytest.raises(ExportError) as failure:
        at_precision(without_classifier(exact), "int8", trained, tiny_splits, sure, GateLimits())

    message = str(failure.value)
    assert message.startswith("The int8 file answers worse than the trained network:\n")
    assert "validation images change their class" in message
    for figure in ("top1", "acsa", "few_shot"):
        assert f"{figure} drops by +" in message
    assert "6 of 13 layers stay at fp32" in message
    assert "Nothing was written; export with another --precision." in message


@pytest.mark.parametrize("precision", LOWER)
def test_without_validation_images_nothing_is_proven_and_nothing_passes(
    precision: Precision,
    exact: onnx.ModelProto,
    trained: TrainedRun,
    tiny_splits: Splits,
    scored: Scored,
) -> None:
    none = replace(scored, rows=scored.rows[:0], logits=scored.logits[:0], labels=scored.labels[:0])

    with pytest.raises(ExportError, match=f"nothing can show what {precision} costs"):
        at_precision(exact, precision, trained, tiny_splits, none, GateLimits())


@pytest.mark.parametrize("precision", LOWER)
def test_a_file_for_letterboxed_images_can_be_lowered(
    precision: Precision,
    traced: Callable[..., onnx.ModelProto],
    trained: TrainedRun,
    tiny_splits: Splits,
    sure: Scored,
) -> None:
    plain = traced(trained, sure, preprocessing=False)

    model, report = at_precision(plain, precision, trained, tiny_splits, sure, LAX)

    assert [one.name for one in model.graph.input] == ["images", "target_prior", "tau"]
    assert report.layers == 13


@pytest.mark.parametrize("precision", LOWER)
def test_a_network_for_features_has_one_layer(
    precision: Precision,
    traced: Callable[..., onnx.ModelProto],
    tiny_run: Callable[..., Run],
    feature_splits: Splits,
    train_into: Callable[..., dict[str, Any]],
    registry: Registry,
    tmp_path: Path,
) -> None:
    run = tiny_run(data={"name": "features"})
    train_into(tmp_path / "run", run, feature_splits)
    trained = load_run(tmp_path / "run", registry)
    scored = score(trained, feature_splits.val, 100)
    plain = traced(trained, scored)

    model, report = at_precision(plain, precision, trained, feature_splits, scored, LAX)

    row = {"features": feature_splits.val[0].features[None]}
    ours, theirs = (open_session(one).run(["logits"], row)[0] for one in (model, plain))
    assert report.layers == 1
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() <= 0.05 * np.abs(theirs).max()


def test_an_ensemble_can_be_lowered(
    traced: Callable[..., onnx.ModelProto],
    trained: TrainedRun,
    tiny_splits: Splits,
    registry: Registry,
) -> None:
    members = [load_run(trained.folder, registry).model for _ in range(2)]
    with torch.no_grad():
        next(members[1].parameters()).mul_(1.1)
    joined = replace(trained, model=Ensemble(members))
    scored = score(joined, tiny_splits.val, 100)
    sure = replace(scored, labels=scored.logits.argmax(dim=1))

    _, report = at_precision(traced(joined, sure), "int8", joined, tiny_splits, sure, LAX)

    assert report.layers == 25  # twelve convolutions each, one classifier
