"""Which splits of a run are cached, and under which key."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fdmo_core.batches import READ_BATCH
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.data import open_batches
from fdmo_core.journal import Journal, Progress
from fdmo_core.map_building import open_maps, prepare_images
from fdmo_core.maps import CachedMaps, LiveMaps, Maps
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model, initial_network
from fdmo_core.samples import Sample, Splits

MakeRun = Callable[..., Run]
Share = Callable[[TwoStreamClassifier], TwoStreamClassifier]
CPU = torch.device("cpu")
FROZEN = {"channels": [4, 8], "freeze_stages": 1}
NO_CHANGE = {
    **{"mirror": False, "rotation": 0, "zoom": 0},
    **{"shift": 0, "brightness": 0, "contrast": 0},
}


class NoImages:
    """A split without images."""

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.zeros(0, dtype=np.int64)

    def __getitem__(self, index: int) -> Sample:
        raise IndexError(index)

    def source(self, index: int) -> str:
        raise IndexError(index)


class Opened:
    """What :func:`open_maps` gave, and what it told."""

    def __init__(self, run: Run, splits: Splits, model: TwoStreamClassifier) -> None:
        self.notices: list[str] = []
        self.shown: list[Progress] = []
        self.maps: dict[str, Maps] = open_maps(
            run,
            splits,
            model,
            compute=Compute(CPU, run.core.compute),
            journal=Journal(show=self.shown.append, say=self.notices.append),
        )

    @property
    def kinds(self) -> dict[str, type[Maps]]:
        return {name: type(one) for name, one in self.maps.items()}


@pytest.fixture
def frozen_run(tiny_run: MakeRun, tmp_path: Path) -> MakeRun:
    """A function that returns a run whose streams can share their first stage."""

    def make(cache: dict[str, Any] | None = None, **sections: Any) -> Run:
        return tiny_run(
            texture_stream=FROZEN,
            shape_stream=FROZEN,
            cache={"folder": str(tmp_path / "cache"), **(cache or {})},
            **sections,
        )

    return make


@pytest.fixture
def model(frozen_run: MakeRun, share: Share) -> TwoStreamClassifier:
    return share(build_model(frozen_run(), num_classes=12, num_landmarks=8)).eval()


def entries(run: Run) -> set[str]:
    folder = Path(run.core.cache.folder)
    return {one.name for one in folder.iterdir() if one.is_dir()} if folder.exists() else set()


def test_without_augmentation_every_split_is_cached(
    frozen_run: MakeRun, tiny_splits: Splits, model: TwoStreamClassifier
) -> None:
    opened = Opened(frozen_run(augmentation=NO_CHANGE), tiny_splits, model)

    assert opened.kinds == dict.fromkeys(("train", "val", "test"), CachedMaps)
    assert len(opened.notices) == 1
    assert "KiB for train, val, test;" in opened.notices[0]
    assert [len(one) for one in opened.maps.values()] == [
        len(split.labels) for split in tiny_splits.named().values()
    ]


def test_images_that_are_augmented_anew_are_not_cached_and_a_line_says_so(
    frozen_run: MakeRun, tiny_splits: Splits, model: TwoStreamClassifier
) -> None:
    opened = Opened(frozen_run(), tiny_splits, model)

    assert opened.kinds == {"train": LiveMaps, "val": CachedMaps, "test": CachedMaps}
    assert opened.notices[0] == (
        "Training images are augmented anew in each epoch, so their maps are not cached; set "
        "cache.views to keep that many augmented views of each."
    )


def test_augmented_views_are_cached_where_they_are_asked_for_and_a_line_says_so(
    frozen_run: MakeRun, tiny_splits: Splits, model: TwoStreamClassifier
) -> None:
    opened = Opened(frozen_run(cache={"views": 2}), tiny_splits, model)

    assert opened.kinds == dict.fromkeys(("train", "val", "test"), CachedMaps)
    assert opened.notices[0] == (
        "2 augmented view(s) of each training image are cached; phase 1 sees no other ones. The "
        "dictionary is built from images without augmentation."
    )
    count = len(tiny_splits.train.labels)
    assert len(opened.maps["train"]) == count
    plain = next(opened.maps["train"].in_order(8)).maps
    (step,) = opened.maps["train"].training([torch.arange(8)], seed=0, epoch=0)
    assert not torch.equal(step.maps, plain)


def test_the_notice_of_the_size_is_the_last_before_writing(
    frozen_run: MakeRun, tiny_splits: Splits, model: TwoStreamClassifier
) -> None:
    opened = Opened(frozen_run(), tiny_splits, model)

    assert opened.notices[-1].startswith("The frozen prefix is computed once per image and kept")
    assert [one.phase for one in opened.shown if one.phase != "images"] == [
        "cache val",
        "cache test",
    ]


@pytest.mark.parametrize("reason", ["nothing shared", "no folder"])
def test_without_a_shared_prefix_or_a_folder_nothing_is_cached(
    frozen_run: MakeRun, tiny_splits: Splits, model: TwoStreamClassifier, reason: str
) -> None:
    run = frozen_run(augmentation=NO_CHANGE)
    if reason == "no folder":
        run = frozen_run(cache={"folder": ""}, augmentation=NO_CHANGE)
    else:
        model.num_shared_stages = 0

    opened = Opened(run, tiny_splits, model)

    assert opened.kinds == dict.fromkeys(("train", "val", "test"), LiveMaps)
    assert opened.notices == []


def test_an_empty_split_is_not_cached(
    frozen_run: MakeRun, tiny_splits: Splits, model: TwoStreamClassifier
) -> None:
    splits = replace(tiny_splits, val=NoImages())

    opened = Opened(frozen_run(augmentation=NO_CHANGE), splits, model)

    assert opened.kinds == {"train": CachedMaps, "val": LiveMaps, "test": CachedMaps}
    assert list(opened.maps["val"].in_order(4)) == []


def test_a_second_run_finds_the_caches_of_the_first(
    frozen_run: MakeRun, tiny_splits: Splits, model: TwoStreamClassifier
) -> None:
    run = frozen_run(cache={"views": 1})
    Opened(run, tiny_splits, model)
    other_head = frozen_run(cache={"views": 1}, phase1={"epochs": 5}, loss={"name": "focal"})

    again = Opened(other_head, tiny_splits, model)

    assert [one for one in again.notices if "computed once" in one] == []
    assert len(entries(run)) == 3


@pytest.mark.parametrize(
    ("section", "options", "splits_anew"),
    [
        ("data", {"image_size": 20}, 3),
        ("compute", {"precision": "bf16"}, 3),
        ("cache", {"precision": "fp32"}, 3),
        ("cache", {"views": 2}, 1),
        ("augmentation", {"rotation": 20.0}, 1),
        ("seed", 1, 1),
    ],
)
def test_what_decides_the_maps_gives_them_another_cache(
    frozen_run: MakeRun,
    tiny_splits: Splits,
    model: TwoStreamClassifier,
    section: str,
    options: Any,
    splits_anew: int,
) -> None:
    first = frozen_run(cache={"views": 1})
    Opened(first, tiny_splits, model)
    before = entries(first)

    cache = {"views": 1} | (options if section == "cache" else {})
    others = {} if section == "cache" else {section: options}
    Opened(frozen_run(cache=cache, **others), tiny_splits, model)

    assert len(entries(first) - before) == splits_anew


@pytest.mark.parametrize("changed", ["weights", "data"])
def test_other_weights_and_other_data_get_other_caches(
    frozen_run: MakeRun,
    tiny_splits: Splits,
    model: TwoStreamClassifier,
    share: Share,
    changed: str,
) -> None:
    run = frozen_run(augmentation=NO_CHANGE)
    Opened(run, tiny_splits, model)
    splits = tiny_splits
    if changed == "weights":
        other = build_model(frozen_run(seed=7), num_classes=12, num_landmarks=8)
        model = share(other).eval()
    else:
        splits = replace(tiny_splits, digest="another")

    Opened(run, splits, model)

    assert len(entries(run)) == 6


def test_images_that_fit_into_memory_are_prepared_with_progress(
    tiny_run: MakeRun, tiny_splits: Splits
) -> None:
    shown: list[Progress] = []
    batches = list(open_batches(tiny_splits, 24, tiny_run().core.loading).values())

    prepare_images(batches, Journal(show=shown.append))

    total = sum(len(one) for one in batches)
    assert shown[-1] == Progress("images", total, total, {})
    assert {one.total for one in shown} == {total}
    assert [one.done for one in shown] == sorted({one.done for one in shown})
    assert all(list(one.keep()) == [] for one in batches)


def test_images_that_do_not_fit_into_memory_are_not_prepared(
    tiny_run: MakeRun, tiny_splits: Splits
) -> None:
    shown: list[Progress] = []
    loading = tiny_run(loading={"memory_mib": 0}).core.loading

    prepare_images(
        list(open_batches(tiny_splits, 24, loading).values()), Journal(show=shown.append)
    )

    assert shown == []


def test_images_of_cached_splits_are_not_kept_in_memory_as_well(
    frozen_run: MakeRun, tiny_splits: Splits, model: TwoStreamClassifier
) -> None:
    opened = Opened(frozen_run(), tiny_splits, model)

    totals = {one.total for one in opened.shown if one.phase == "images"}
    assert totals == {len(tiny_splits.train.labels)}
    assert len(tiny_splits.train.labels) > READ_BATCH  # so that there is progress to show


def test_features_are_standardised_and_neither_augmented_nor_cached(
    frozen_run: MakeRun, feature_splits: Splits
) -> None:
    run = frozen_run()
    network = initial_network(run, feature_splits)
    notices: list[str] = []

    maps = open_maps(
        run, feature_splits, network, compute=Compute(CPU), journal=Journal(say=notices.append)
    )

    (batch,) = maps["train"].training([torch.arange(48)], seed=0, epoch=0)
    torch.testing.assert_close(batch.maps.mean(dim=0), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.maps.std(dim=0, correction=0), torch.ones(8))
    assert {type(one) for one in maps.values()} == {LiveMaps}
    assert notices == []
    assert entries(run) == set()
