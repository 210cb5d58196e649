"""What is told and written where a number is not finite, and what the run does then."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.engine import check_run, train
from fdmo_core.errors import NonFiniteError, RunFolderError
from fdmo_core.faults import BadBatch, Fault, bad_gradients
from fdmo_core.files import write_json
from fdmo_core.journal import Journal
from fdmo_core.network import Network
from fdmo_core.nonfinite import NonfiniteConfig, NumberGuard, count_skipped
from fdmo_core.recorder import Recorder
from fdmo_core.run_folder import create_run_folder
from fdmo_core.samples import Sample, Split, Splits

MakeRun = Callable[..., Run]
BAD = Fault({"main": math.nan, "sum": 1.0})


def test_the_run_stops_by_default() -> None:
    with pytest.raises(NonFiniteError) as caught:
        NumberGuard("phase1").refuse(3, BAD)

    assert str(caught.value) == (
        "Step 3 of phase1 diverged: main is nan. Expected finite numbers. Lower the learning rate "
        "of phase1 (phase1.learning_rate), or go on without such steps by nonfinite.action = "
        "'skip'."
    )


def test_as_many_steps_are_skipped_as_the_limit_says() -> None:
    said: list[str] = []
    config = NonfiniteConfig(action="skip", limit=2)
    guard = NumberGuard("phase2", config, journal=Journal(say=said.append))

    guard.refuse(3, BAD)
    guard.refuse(4, BAD)
    with pytest.raises(NonFiniteError, match=r"As many steps as nonfinite\.limit = 2 are skipped"):
        guard.refuse(9, BAD)

    assert said == [
        "Step 3 of phase2 diverged: main is nan. It is skipped, number 1 of at most 2.",
        "Step 4 of phase2 diverged: main is nan. It is skipped, number 2 of at most 2.",
    ]


def test_a_run_that_goes_on_keeps_count(tmp_path: Path) -> None:
    config = NonfiniteConfig(action="skip", limit=5)
    guard = NumberGuard("phase1", config, folder=tmp_path)
    for step in (2, 5, 8):
        guard.refuse(step, BAD)
    NumberGuard("phase2", config, folder=tmp_path).refuse(1, BAD)
    with pytest.raises(NonFiniteError):
        NumberGuard("phase1", folder=tmp_path).refuse(3, BAD)

    counts = [count_skipped(tmp_path, "phase1", before=step) for step in (0, 5, 6, 9)]

    assert counts == [0, 1, 2, 3]


@pytest.mark.parametrize("content", [[], {"outcome": "skipped"}, {"step": 1}])
def test_a_damaged_diagnosis_is_told_where_it_is_counted(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "diagnosis-phase1-3.json", content)

    with pytest.raises(RunFolderError, match=r"diagnosis-phase1-3\.json cannot be read"):
        count_skipped(tmp_path, "phase1", before=9)


def test_the_message_names_a_few_and_the_file_all(feature_splits: Splits, tmp_path: Path) -> None:
    guard = NumberGuard("phase1", folder=tmp_path, splits=feature_splits, run={"seed": 4})
    rows = torch.tensor([0, 1, 2, 31, 40, 43])
    is_bad = torch.tensor([True, True, True, True, False, False])
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    slopes = {f"layer{n}": torch.tensor([math.nan, 3.0, 4.0, 0.0]) for n in range(5)}

    with pytest.raises(NonFiniteError) as caught:
        guard.refuse(0, Fault({}, bad_gradients(slopes), BadBatch(labels, is_bad, rows)))

    assert (
        "gradient of layer0 (25 % of it), gradient of layer1 (25 % of it), gradient of layer2 "
        "(25 % of it), and 2 more, class 'auk' (3 of 3), class 'ibis' (1 of 2): a 0, a 1, a 2 and "
        "1 more." in str(caught.value)
    )
    found = json.loads((tmp_path / "diagnosis-phase1-0.json").read_text())
    assert found["classes"] == {
        "auk": {"all": 3, "bad": 3},
        "ibis": {"all": 2, "bad": 1},
        "tern": {"all": 1, "bad": 0},
    }
    assert found["batch"][3:5] == [
        {"source": "a 31", "bad": True},
        {"source": "a 40", "bad": False},
    ]
    assert found["parameters"] == [
        {"kind": "gradient", "name": f"layer{n}", "share": 0.25, "norm": 5.0} for n in range(5)
    ]
    assert found["config"] == {"seed": 4}


class Spoilt:
    """A split of features one of which is infinite; data sets refuse such themselves."""

    def __init__(self, split: Split, row: int) -> None:
        self._split, self._row = split, row

    @property
    def labels(self) -> np.ndarray[Any, Any]:
        return self._split.labels

    def __getitem__(self, index: int) -> Sample:
        sample = self._split[index]
        assert sample.features is not None
        if index != self._row:
            return sample
        return replace(sample, features=np.full_like(sample.features, np.inf))

    def source(self, index: int) -> str:
        return self._split.source(index)


def go(folder: Path, run: Run, splits: Splits, model: Network) -> Mapping[str, Any]:
    """Train as ``fdmo train`` does, or go on."""
    compute = Compute(torch.device("cpu"), run.core.compute)
    recorder = Recorder(folder, run, splits, compute)
    recorder.begin("fdmo train")
    with Journal(folder / "log.jsonl") as journal:
        return train(run, splits, model, recorder, compute=compute, journal=journal)


@pytest.fixture
def new(tiny_run: MakeRun, feature_splits: Splits) -> Callable[[], Network]:
    """A function that returns the network before phase 1, made by data that are whole."""
    return lambda: check_run(features_run(tiny_run), feature_splits)


@pytest.fixture
def spoilt(feature_splits: Splits) -> Splits:
    return replace(feature_splits, train=Spoilt(feature_splits.train, 35))


def features_run(tiny_run: MakeRun, **nonfinite: object) -> Run:
    return tiny_run(
        phase1={"epochs": 3, "batch_size": 12},
        checkpoint={"steps": 1},
        nonfinite=nonfinite,
    )


def test_a_run_stops_with_a_message_a_diagnosis_and_a_checkpoint_that_is_whole(
    tiny_run: MakeRun, spoilt: Splits, new: Callable[[], Network], tmp_path: Path
) -> None:
    folder = create_run_folder(tmp_path / "run", data="x")

    with pytest.raises(NonFiniteError, match=r"phase1 diverged: .*class 'ibis'.*: a 35\.") as told:
        go(folder, features_run(tiny_run), spoilt, new())

    (file,) = folder.glob("diagnosis-*.json")
    assert f"{file} says more." in str(told.value)
    found = json.loads(file.read_text())
    assert found["config"]["phase1"]["epochs"] == 3
    assert [one["source"] for one in found["batch"] if one["bad"]] == ["a 35"]
    for checkpoint in (folder / "checkpoints").glob("phase1*.safetensors"):
        held = load_file(checkpoint).values()
        assert all(bool(one.isfinite().all()) for one in held if one.is_floating_point())


def test_a_run_that_stopped_goes_on_by_skipping_and_ends_with_the_same_bits(
    tiny_run: MakeRun, spoilt: Splits, new: Callable[[], Network], tmp_path: Path
) -> None:
    whole, parts = (create_run_folder(tmp_path / name, data="x") for name in ("whole", "parts"))
    patient = features_run(tiny_run, action="skip", limit=3)
    for_all = pytest.raises(
        NonFiniteError, match=r"gives features .*class 'ibis' \(1 of 12\): a 35"
    )

    with for_all:
        go(whole, patient, spoilt, new())
    with pytest.raises(NonFiniteError, match="As many steps"):
        go(parts, features_run(tiny_run, action="skip", limit=2), spoilt, new())
    with for_all:
        go(parts, patient, spoilt, new())

    checkpoints = [one / "checkpoints" / "phase1.safetensors" for one in (whole, parts)]
    assert checkpoints[0].read_bytes() == checkpoints[1].read_bytes()
    names = [sorted(one.name for one in of.glob("diagnosis-*")) for of in (whole, parts)]
    assert names[0] == names[1]
    assert len(names[0]) == 4  # three steps, and the features
