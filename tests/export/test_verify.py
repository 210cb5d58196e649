"""A file's own examples, run on execution providers, without torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from fdmo_core.errors import ExportError
from fdmo_export.contract import GOLDEN_KEY, METADATA_KEY
from fdmo_export.opening import describe_file
from fdmo_export.verify import (
    MOST_MOVED,
    TOLERANCES,
    Answer,
    ProviderAnswers,
    Verification,
    require_answers,
    require_valid,
    verify_file,
)

Edit = Callable[[Callable[[onnx.ModelProto], None]], Path]

NAN = float("nan")
SCRIPT = """
import sys
from pathlib import Path
from fdmo_export.verify import require_answers, verify_file

require_answers(verify_file(Path(sys.argv[1]), ["cpu"]))
print("torch" in sys.modules)
"""


def edit_initializer(
    change: Callable[[Any], Any], wanted: Callable[[Any], bool]
) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        found = False
        for one in model.graph.initializer:
            values = numpy_helper.to_array(one)
            if wanted(values):
                found = True
                changed = change(values).astype(values.dtype)
                one.CopyFrom(numpy_helper.from_array(changed, one.name))
        assert found

    return edit


flip_filters = edit_initializer(lambda w: w[:, ::-1], lambda w: w.ndim == 4 and w.shape[1] == 3)
"""Exchanges red and blue in the first layer, as a file for BGR would."""


def answers(*differences: float, landmarks: int = 0, moved: int = 0) -> ProviderAnswers:
    found = [Answer("tee", "tee", one, 0) for one in differences[:-1]]
    found.append(Answer("tee", "tee", differences[-1], moved))
    return ProviderAnswers("cpu", found, landmarks, 0.02)


def test_a_good_file_answers_as_it_says(onnx_file: Path) -> None:
    found = verify_file(onnx_file, ["cpu"])

    (cpu,) = found.providers
    examples = describe_file(onnx_file).golden_examples()
    assert (cpu.provider, cpu.tolerance, found.precision) == ("cpu", 0.02, "fp32")
    assert len(cpu.answers) == len(examples) == 8
    assert cpu.num_landmarks == 8 * 8
    assert cpu.agrees
    assert all(one.expected == one.found for one in cpu.answers)
    assert max(one.difference for one in cpu.answers) > 0  # it was measured
    require_answers(found)


def test_no_torch_is_imported(onnx_file: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(onnx_file)]

    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert result.stdout == "False\n"


def test_a_file_that_takes_blue_for_red_is_found(edited: Edit) -> None:
    path = edited(flip_filters)

    found = verify_file(path, ["cpu"])

    assert not found.providers[0].agrees
    with pytest.raises(ExportError, match="answers otherwise on cpu than the trained network"):
        require_answers(found)


def test_a_file_with_other_answers_inside_is_found(edited: Edit) -> None:
    halved = edit_initializer(lambda w: w * 0.5, lambda w: w.ndim == 4)

    assert not verify_file(edited(halved), ["cpu"]).providers[0].agrees


def test_differences_are_those_of_a_loop(edited: Edit) -> None:
    path = edited(flip_filters)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = describe_file(path).metadata["class_names"]

    found = verify_file(path, ["cpu"]).providers[0].answers

    for answer, example in zip(found, describe_file(path).golden_examples(), strict=True):
        probabilities, landmarks = session.run(
            ["probabilities", "landmarks"], {"image": example.input[np.newaxis]}
        )
        expected = example.outputs["probabilities"].tolist()
        pairs = zip(probabilities[0].tolist(), expected, strict=True)
        assert answer.difference == pytest.approx(max(abs(a - b) for a, b in pairs), rel=1e-5)
        assert answer.expected == names[expected.index(max(expected))]
        assert answer.found == names[int(probabilities[0].argmax())]
        limit = 0.06 * max(example.input.shape)
        assert answer.moved_landmarks == sum(
            max(abs(x - u), abs(y - v)) > limit
            for (x, y), (u, v) in zip(landmarks[0], example.outputs["landmarks"], strict=True)
        )


def test_each_usable_provider_runs_and_the_others_are_named_with_the_reason(
    onnx_file: Path,
) -> None:
    found = verify_file(onnx_file)

    assert found.providers[0].provider == "cpu"
    assert {one.provider for one in found.providers} | found.unusable.keys() == {
        "cpu",
        "cuda",
        "tensorrt",
    }
    assert all(f"'{name}'" in reason for name, reason in found.unusable.items())


def test_a_provider_that_was_asked_for_and_cannot_be_used_is_an_error(onnx_file: Path) -> None:
    unusable = verify_file(onnx_file).unusable
    if not unusable:
        pytest.skip("every provider can be used here")

    name = next(iter(unusable))
    with pytest.raises(ExportError, match=f"'{name}'"):
        verify_file(onnx_file, ["cpu", name])


@pytest.mark.parametrize(
    ("found", "agrees", "outside"),
    [
        (answers(0.0, 0.02), True, []),
        (answers(0.0, 0.021), False, [2]),
        (answers(NAN, 0.0, 0.5), False, [1, 3]),
        (answers(0.0, landmarks=8, moved=int(8 * MOST_MOVED)), True, []),
        (answers(0.0, landmarks=8, moved=int(8 * MOST_MOVED) + 1), False, []),
    ],
)
def test_agreement_needs_probabilities_within_the_tolerance_and_landmarks_in_place(
    found: ProviderAnswers, agrees: bool, outside: list[int]
) -> None:
    assert (found.agrees, found.outside) == (agrees, outside)


def test_the_message_names_provider_examples_and_what_is_allowed() -> None:
    bad = answers(0.5, 0.0, NAN, landmarks=24, moved=1)

    with pytest.raises(ExportError) as caught:
        require_answers(Verification(Path("net.onnx"), "fp32", [answers(0.0), bad], {}))

    assert str(caught.value) == (
        "net.onnx answers otherwise on cpu than the trained network: on cpu the examples with a "
        "probability too far off are 1, 3, and 1 of 24 landmarks lie elsewhere. Expected at most "
        "0.02 in a probability at fp32, and at most 25% of the landmarks. Use another provider, "
        "update onnxruntime and drivers, or export the run again."
    )


def test_every_precision_has_a_tolerance_and_the_exact_one_the_smallest() -> None:
    assert TOLERANCES["fp32"] < TOLERANCES["fp16"] < TOLERANCES["int8"]


def test_a_graph_that_is_no_valid_onnx_is_refused(edited: Edit) -> None:
    def break_it(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type = "Konv"

    path = edited(break_it)

    with pytest.raises(ExportError) as caught:
        require_valid(path)

    message = str(caught.value)
    assert message.startswith(f"{path} is no valid ONNX: ")
    assert message.endswith(
        " Expected a file that onnx.checker passes. Export the run again, and report it if that "
        "does not help."
    )


def test_what_was_found_is_plain_data(onnx_file: Path) -> None:
    found = verify_file(onnx_file, ["cpu"]).as_dict()

    assert found.keys() == {"file", "precision", "providers", "unusable"}
    (cpu,) = found["providers"]
    assert cpu.keys() == {"provider", "answers", "num_landmarks", "tolerance", "agrees"}
    assert cpu["answers"][0].keys() == {"expected", "found", "difference", "moved_landmarks"}


def edit_entry(key: str, change: Callable[[Any], Any]) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        (entry,) = (one for one in model.metadata_props if one.key == key)
        entry.value = json.dumps(change(json.loads(entry.value)))

    return edit


def reversed_answers(golden: Any) -> Any:
    for one in golden:
        one["outputs"]["probabilities"].reverse()
    return golden


def test_changed_examples_are_found_though_the_digest_is_right(edited: Edit) -> None:
    path = edited(edit_entry(GOLDEN_KEY, reversed_answers))

    with pytest.raises(ExportError, match="answers otherwise on cpu than the trained network"):
        require_answers(verify_file(path, ["cpu"]))


@pytest.mark.parametrize(
    ("golden", "how"),
    [
        ([], "are 0, 0 of them without probabilities"),
        ({"a": 1}, "cannot be read (TypeError"),
        ([{"shape": [1]}], "cannot be read (KeyError('dtype'))"),
        ([{"shape": [0], "dtype": "uint8", "data": "eJwDAAAAAAE=", "outputs": {}}], "are 1, 1 of"),
        ([{"shape": [9], "dtype": "uint8", "data": "eJwDAAAAAAE=", "outputs": {}}], "cannot be re"),
        ([{"shape": [0], "dtype": "uint8", "data": "AAAA", "outputs": {}}], "cannot be read (err"),
    ],
)
def test_examples_that_prove_nothing_are_an_error(edited: Edit, golden: Any, how: str) -> None:
    path = edited(edit_entry(GOLDEN_KEY, lambda _: golden))

    with pytest.raises(ExportError) as caught:
        verify_file(path, ["cpu"])

    assert str(caught.value).startswith(f"The golden examples {how}")


def test_an_unknown_precision_is_an_error(edited: Edit) -> None:
    path = edited(edit_entry(METADATA_KEY, lambda one: one | {"precision": {"name": "int4"}}))

    with pytest.raises(ExportError) as caught:
        verify_file(path, ["cpu"])

    assert str(caught.value) == (
        f"{path} is of precision 'int4'. Expected one of fp32, fp16, int8. Export the run again."
    )
