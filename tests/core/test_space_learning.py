from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fdmo_core.checkpoint import checkpoint_files, load_checkpoint
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.feature_space import FeatureSpace
from fdmo_core.journal import Journal, Progress
from fdmo_core.phase2 import rebalance
from fdmo_core.samples import Splits
from fdmo_core.space_learning import learn_space
from fdmo_core.testing.expectations import differing, snapshot

CPU = Compute(torch.device("cpu"))
Learn = Callable[..., FeatureSpace]


def learned(run: Run, folder: Path, **options: Any) -> FeatureSpace:
    return learn_space(run, folder, compute=CPU, **({"journal": Journal()} | options))


@pytest.fixture(scope="module")
def folder(tiny_run: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spaces") / "run"
    learned(tiny_run(crossfit={"folds": 2}), folder, out_of_fold=True)
    return folder


def test_phase_2_on_features_gives_what_a_whole_run_gives(
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: Callable[..., dict[str, Any]],
    folder: Path,
    tmp_path: Path,
) -> None:
    run = tiny_run(crossfit={"folds": 2}, loss={"name": "focal"})
    train_into(tmp_path / "whole", run, tiny_splits)

    rebalancer = rebalance(
        run, FeatureSpace.load(folder / "space"), device=CPU.device, journal=Journal()
    )

    weights = snapshot(rebalancer)
    file, _ = checkpoint_files(tmp_path / "whole" / "checkpoints", "phase2")
    load_checkpoint(file, module=rebalancer, optimizers={})
    assert not differing(weights, snapshot(rebalancer))


def test_a_space_is_learned_once(tiny_run: Callable[..., Run], folder: Path) -> None:
    shown: list[Progress] = []

    again = learned(tiny_run(), folder, out_of_fold=True, journal=Journal(show=shown.append))

    assert not shown
    assert again.out_of_fold is not None
    assert torch.equal(again.train.labels, again.out_of_fold.labels)


def test_folds_are_added_to_a_space_that_has_none(
    tiny_run: Callable[..., Run], folder: Path, tmp_path: Path
) -> None:
    run = tiny_run(crossfit={"folds": 2})
    bare = learned(run, tmp_path / "run")
    shown: list[Progress] = []
    whole = learned(run, tmp_path / "run", out_of_fold=True, journal=Journal(show=shown.append))

    assert bare.out_of_fold is None
    assert "phase1" not in {one.phase for one in shown}
    reference = FeatureSpace.load(folder / "space")
    assert torch.equal(whole.train.features, reference.train.features)
    assert whole.out_of_fold is not None
    assert reference.out_of_fold is not None
    assert torch.equal(whole.out_of_fold.logits, reference.out_of_fold.logits)
