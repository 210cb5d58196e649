"""What a file says of itself."""

import hashlib
import json
from dataclasses import replace
from importlib.metadata import version

import onnx
import pytest

from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Splits
from fdmo_export.contract import METADATA_ENTRIES
from fdmo_export.describe import add_entry, describe_model
from fdmo_export.opening import describe_file
from fdmo_export.operation import certain_above, measure_prior
from fdmo_export.precision import PrecisionReport
from fdmo_export.validation import Scored, score
from fdmo_export.write import Export


@pytest.fixture(scope="module")
def scored(trained: TrainedRun, tiny_splits: Splits) -> Scored:
    return score(trained, tiny_splits.val, 1000)


def described(
    trained: TrainedRun, scored: Scored, *, preprocessing: bool = True, license: str = ""
) -> dict[str, object]:
    prior = measure_prior(scored, trained.class_counts)
    return describe_model(
        trained,
        scored,
        prior,
        PrecisionReport("fp32"),
        preprocessing=preprocessing,
        license=license,
    )


def test_the_file_says_all_that_the_contract_names(
    exported: Export, trained: TrainedRun, scored: Scored, tiny_splits: Splits
) -> None:
    found = describe_file(exported.path).metadata

    assert found.keys() == {"format", "fdmo", *METADATA_ENTRIES}
    assert found == described(trained, scored)
    assert (found["format"], found["fdmo"], found["license"]) == (2, version("fdmo"), "")
    assert tuple(found["class_names"]) == tiny_splits.class_names
    assert found["class_counts"] == tiny_splits.counts("train").tolist()
    assert tuple(found["landmark_names"]) == tiny_splits.landmark_names
    assert found["data_digest"] == tiny_splits.digest
    assert found["precision"]["name"] == "fp32"
    assert found["prior"] == measure_prior(scored, trained.class_counts).as_dict()
    assert found["thresholds"] == certain_above(scored, 12)
    assert found["config"] == trained.run.as_dict()


def test_the_digest_of_the_config_is_that_of_its_sorted_json(
    trained: TrainedRun, scored: Scored
) -> None:
    found = described(trained, scored)

    text = json.dumps(found["config"], sort_keys=True, ensure_ascii=False)
    assert found["config_digest"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("preprocessing", [True, False])
def test_the_file_says_whether_it_prepares_images_itself(
    trained: TrainedRun, scored: Scored, preprocessing: bool
) -> None:
    assert described(trained, scored, preprocessing=preprocessing)["preprocessing"] == {
        "in_graph": preprocessing,
        "image_size": 24,
        "channels": "RGB",
        "crop": "to the box, where there is one",
        "resize": "bilinear with antialiasing, ratio kept, centred on black",
        "range": "uint8, 0 to 255",
        "whole_image": [0.0, 0.0, 1e9, 1e9],
    }


def test_names_and_licences_of_any_alphabet_survive(trained: TrainedRun, scored: Scored) -> None:
    names = ("kimono \u7740\u7269", 'a "b"\n', *trained.class_names[2:])
    model = onnx.ModelProto()

    metadata = described(replace(trained, class_names=names), scored, license="CC BY 4.0 \u00a9")
    add_entry(model, "fdmo", metadata)

    (entry,) = model.metadata_props
    found = json.loads(entry.value)
    assert tuple(found["class_names"]) == names
    assert found["license"] == "CC BY 4.0 \u00a9"
    assert "\u7740" in entry.value
