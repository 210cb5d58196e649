from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fdmo_core.classifier import LinearClassifier
from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.crossfit import CrossFitted, cross_fit
from fdmo_core.engine import check_run, learn_features
from fdmo_core.errors import RunFolderError
from fdmo_core.folds import assign_folds
from fdmo_core.interfaces import FeatureDictionary
from fdmo_core.journal import Journal, Progress
from fdmo_core.map_building import open_maps
from fdmo_core.maps import Maps
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import initial_model
from fdmo_core.network import Network
from fdmo_core.out_of_fold import OutOfFold
from fdmo_core.phase1 import start_phase1, train_phase1
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.randomness import rng_for
from fdmo_core.recorder import Recorder
from fdmo_core.registry import Registry
from fdmo_core.samples import Splits

MakeRun = Callable[..., Run]
CPU = Compute(torch.device("cpu"))
FOLDS = 2


@dataclass(frozen=True)
class Learned:
    """A run after phase 1, with the scores of its folds."""

    run: Run
    maps: Maps
    model: Network
    dictionary: FeatureDictionary
    recorder: Recorder
    found: OutOfFold

    def again(self, recorder: Recorder, **options: Any) -> OutOfFold:
        defaults: dict[str, Any] = {"compute": CPU, "journal": Journal()}
        crossed = cross_fit(
            self.run, self.maps, self.model, self.dictionary, recorder, **(defaults | options)
        )
        return crossed.out_of_fold


def make_folder(folder: Path) -> Path:
    for part in ("checkpoints", "dictionary"):
        (folder / part).mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def learned(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Learned:
    run = tiny_run(crossfit={"folds": FOLDS}, dictionary={"name": "memory", "max_per_class": 5})
    recorder = Recorder(
        make_folder(tmp_path_factory.mktemp("crossfit") / "run"), run, tiny_splits, CPU
    )
    recorder.begin("fdmo train")
    model = check_run(run, tiny_splits)
    maps = open_maps(run, tiny_splits, model, compute=CPU, journal=Journal())["train"]
    dictionary = learn_features(run, maps, model, recorder, compute=CPU, journal=Journal())
    crossed = cross_fit(run, maps, model, dictionary, recorder, compute=CPU, journal=Journal())
    assert crossed.network is model
    assert crossed.dictionary is dictionary
    found = crossed.out_of_fold
    return Learned(run, maps, model, dictionary, recorder, found)


def test_each_image_is_scored_by_the_model_that_never_saw_it(learned: Learned) -> None:
    run, maps = learned.run, learned.maps
    folds = assign_folds(maps.labels, FOLDS, rng_for(run.core.seed, "folds"))
    model = initial_model(run, num_classes=12, num_landmarks=8)
    state = start_phase1(model, run.core.phase1, CPU)
    train_phase1(
        state,
        maps,
        run.core.phase1,
        seed=run.core.seed,
        compute=CPU,
        journal=Journal(),
        rows=torch.nonzero(folds != 1).flatten(),
    )
    (batch,) = maps.in_order(len(maps))
    with torch.no_grad():
        logits = model.main_classifier(model.eval().extract(batch.maps))

    torch.testing.assert_close(learned.found.logits[folds == 1], logits[folds == 1])
    assert not torch.allclose(learned.found.logits[folds == 0], logits[folds == 0])


def test_features_are_there_for_the_rows_of_the_dictionary_in_its_order(learned: Learned) -> None:
    found, store = learned.found, learned.dictionary.store

    held = found.held_out()
    assert torch.equal(found.sources, learned.dictionary.sources)
    assert torch.equal(held.labels, store.labels)
    assert held.features.shape == store.features.shape
    assert torch.equal(held.logits, found.logits[learned.dictionary.sources])


def test_mapped_features_are_near_those_of_phase_1_but_not_the_same(learned: Learned) -> None:
    own, real = learned.found.features, learned.dictionary.store.features

    distance = (own - real).square().mean()
    assert 0 < distance < (real - real.mean(dim=0)).square().mean()
    assert own.min() >= 0


def test_the_rows_build_a_dictionary_of_the_same_images(learned: Learned) -> None:
    parts = list(learned.found.rows(part_size=7))

    assert max(len(part.labels) for part in parts) == 7
    assert torch.equal(torch.cat([part.sources for part in parts]), learned.dictionary.sources)
    assert torch.equal(torch.cat([part.features for part in parts]), learned.found.features)


def test_a_fold_that_is_done_is_not_trained_again(learned: Learned) -> None:
    shown: list[Progress] = []

    again = learned.again(learned.recorder, journal=Journal(show=shown.append))

    assert not shown
    assert torch.equal(again.logits, learned.found.logits)


def test_an_interrupted_fold_goes_on_to_the_same_bits(
    tiny_run: MakeRun, learned: Learned, tmp_path: Path
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.phase == "fold-1" and progress.done == progress.total:
            raise KeyboardInterrupt

    run = tiny_run(
        crossfit={"folds": FOLDS},
        dictionary={"name": "memory", "max_per_class": 5},
        checkpoint={"steps": 1},
    )
    recorder = replace(learned.recorder, folder=make_folder(tmp_path / "run"), run=run)
    with pytest.raises(KeyboardInterrupt):
        learned.again(recorder, journal=Journal(show=interrupt))
    shown: list[Progress] = []
    again = learned.again(recorder, journal=Journal(show=shown.append))

    assert {one.phase for one in shown} == {"fold-1"}
    assert shown[0].done > 1  # from the checkpoint of a step before
    assert torch.equal(again.logits, learned.found.logits)
    assert torch.equal(again.features, learned.found.features)


def test_a_lender_s_folds_are_used(learned: Learned, tmp_path: Path) -> None:
    borrower = replace(learned.recorder, folder=make_folder(tmp_path / "run"))

    again = learned.again(borrower, lender=learned.recorder.folder)

    assert not (borrower.folder / "crossfit").exists()
    assert torch.equal(again.logits, learned.found.logits)


@pytest.mark.parametrize("damage", ["cut", "other images", "missing"])
def test_damaged_scores_are_refused(learned: Learned, tmp_path: Path, damage: str) -> None:
    recorder = replace(learned.recorder, folder=make_folder(tmp_path / "run"))
    folder = recorder.folder / "crossfit"
    folder.mkdir()
    for fold in range(FOLDS):
        name = f"fold-{fold}.safetensors"
        content = load_file(learned.recorder.folder / "crossfit" / name)
        if damage == "other images":
            content["rows"] = content["rows"] + 1
        if damage == "missing":
            content["kept_rows"], content["features"] = (
                content[key][1:].clone() for key in ("kept_rows", "features")
            )
        save_file(content, folder / name)
    if damage == "cut":
        file = folder / "fold-1.safetensors"
        file.write_bytes(file.read_bytes()[:-9])

    with pytest.raises(RunFolderError, match=r"cannot be used: .* Remove the folder"):
        learned.again(recorder)


def test_other_frozen_weights_than_phase_1_s_are_refused(
    learned: Learned,
    tiny_run: MakeRun,
    tiny_splits: Splits,
    share: Callable[[TwoStreamClassifier], TwoStreamClassifier],
    tmp_path: Path,
) -> None:
    frozen = {"name": "small-vgg", "channels": [4, 8], "freeze_stages": 1}
    run = tiny_run(texture_stream=frozen, shape_stream=frozen, crossfit={"folds": FOLDS})
    plain = check_run(run, tiny_splits)
    assert isinstance(plain, TwoStreamClassifier)
    model = share(plain)
    recorder = replace(learned.recorder, folder=make_folder(tmp_path / "run"))

    with pytest.raises(RunFolderError, match="not those that phase 1 began with"):
        replace(learned, run=run, model=model).again(recorder)


@pytest.fixture(scope="module")
def ensemble(learned: Learned, tmp_path_factory: pytest.TempPathFactory) -> CrossFitted:
    config = {**learned.run.as_dict(), "crossfit": {"folds": FOLDS, "ensemble": True}}
    run = resolve_run(config, Registry(load_plugins()))
    recorder = replace(
        learned.recorder, run=run, folder=make_folder(tmp_path_factory.mktemp("ensemble") / "run")
    )
    return cross_fit(
        run,
        learned.maps,
        learned.model,
        learned.dictionary,
        recorder,
        compute=CPU,
        journal=Journal(),
    )


def test_an_ensemble_scores_by_the_mean_of_phase_1_and_all_folds(
    learned: Learned, ensemble: CrossFitted
) -> None:
    (batch,) = learned.maps.in_order(len(learned.maps))
    with torch.no_grad():
        logits = ensemble.network.eval()(batch.maps).logits
        own = learned.model.eval()(batch.maps).logits
        one = ensemble.network.extract(batch.maps)

    folds = []
    for fold in range(FOLDS):
        weights = load_file(learned.recorder.folder / "checkpoints" / f"fold-{fold}.safetensors")
        member = initial_model(learned.run, num_classes=12, num_landmarks=8)
        member.load_state_dict(
            {
                key.removeprefix("module."): value
                for key, value in weights.items()
                if key.startswith("module.")
            }
        )
        with torch.no_grad():
            folds.append(member.eval()(batch.maps).logits)
    torch.testing.assert_close(logits, torch.stack([own, *folds]).mean(dim=0))
    assert one.shape == (len(learned.maps), 3 * sum(learned.model.stream_dims))


def test_an_ensemble_leaves_phase_1_s_network_as_it_is(
    learned: Learned, ensemble: CrossFitted
) -> None:
    assert isinstance(learned.model.main_classifier, LinearClassifier)
    assert ensemble.network is not learned.model


def test_features_out_of_fold_are_in_the_ensemble_s_space(
    learned: Learned, ensemble: CrossFitted
) -> None:
    found, held = ensemble.out_of_fold, ensemble.dictionary.store

    assert torch.equal(found.logits, learned.found.logits)
    assert found.features.shape == held.features.shape
    assert torch.equal(found.held_out().labels, held.labels)
    distance = (found.features - held.features).square().mean()
    assert distance < (held.features - held.features.mean(dim=0)).square().mean()
