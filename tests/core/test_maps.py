"""Maps of a split: computed or cached, on one process or shared by several."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from fdmo_core.augmentation import AugmentationConfig
from fdmo_core.batches import Batches, scale_pixels
from fdmo_core.compute import Compute, ComputeConfig
from fdmo_core.config import Run
from fdmo_core.data import open_batches
from fdmo_core.map_store import MapStore, StoreLayout
from fdmo_core.maps import CachedMaps, LiveMaps, MapBatch, Maps
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model
from fdmo_core.randomness import rng_for
from fdmo_core.samples import Splits
from fdmo_core.world import World

MakeRun = Callable[..., Run]
CPU = Compute(torch.device("cpu"))
FROZEN = {"channels": [4, 8], "freeze_stages": 1}
PAIRS = ((0, 1), (2, 3))
PLAIN = AugmentationConfig(mirror=False, rotation=0, zoom=0, shift=0, brightness=0, contrast=0)


@pytest.fixture(scope="module")
def batches(tiny_run: MakeRun, tiny_splits: Splits) -> Batches:
    return open_batches(tiny_splits, 24, tiny_run().core.loading)["train"]


@pytest.fixture(scope="module")
def model(
    tiny_run: MakeRun, share: Callable[[TwoStreamClassifier], TwoStreamClassifier]
) -> TwoStreamClassifier:
    run = tiny_run(texture_stream=FROZEN, shape_stream=FROZEN)
    return share(build_model(run, num_classes=12, num_landmarks=8)).eval()


def live(
    batches: Batches,
    model: TwoStreamClassifier,
    compute: Compute = CPU,
    augmentation: AugmentationConfig | None = None,
) -> LiveMaps:
    return LiveMaps(
        batches,
        model,
        compute,
        augmentation=AugmentationConfig() if augmentation is None else augmentation,
        mirrored_landmarks=PAIRS,
    )


def filled(folder: Path, parts: Iterable[MapBatch], rows: int, precision: str = "fp32") -> MapStore:
    """Return a store of all maps, in the order in which they come."""
    maps, landmarks, *_ = (torch.cat(column) for column in zip(*parts, strict=True))
    channels, height, width = maps.shape[1:]
    layout = StoreLayout(rows, channels, height, width, landmarks.shape[1], precision)
    store = MapStore.create(folder, layout)
    store.write(0, maps, landmarks)
    return store


def cached(
    folder: Path,
    batches: Batches,
    model: TwoStreamClassifier,
    *,
    precision: str = "fp32",
    views: int = 0,
    compute: Compute = CPU,
) -> CachedMaps:
    of_images = live(batches, model, compute, AugmentationConfig() if views else PLAIN)
    count = len(batches) * max(views, 1)
    places = torch.arange(count).split(50)
    parts = live(batches, model, CPU).views(places, seed=3) if views else of_images.plain(places)
    store = filled(folder, parts, count, precision)
    return CachedMaps(store, of_images, compute, is_augmented=bool(views))


def steps_of(count: int, batch_size: int = 16) -> list[Tensor]:
    return list(torch.randperm(count, generator=rng_for(0, "order")).split(batch_size))


def trained_on(maps: Maps, *, epoch: int = 0, seed: int = 3) -> list[MapBatch]:
    return list(maps.training(steps_of(len(maps)), seed=seed, epoch=epoch))


def assert_equal(found: Iterable[MapBatch], expected: Iterable[MapBatch]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert all(map(torch.equal, one, other))


def interleaved(shares: list[list[MapBatch]]) -> list[MapBatch]:
    """Return the batches of one process of which others took every n-th row each."""
    joined = []
    for parts in zip(*shares, strict=True):
        total = sum(len(part.rows) for part in parts)
        columns = []
        for pieces in zip(*parts, strict=True):
            whole = pieces[0].new_empty(total, *pieces[0].shape[1:])
            for rank, piece in enumerate(pieces):
                whole[World(rank, len(parts)).rows] = piece
            columns.append(whole)
        joined.append(MapBatch(*columns))
    return joined


def test_in_order_gives_the_prefix_of_every_image_once(
    batches: Batches, model: TwoStreamClassifier
) -> None:
    found = list(live(batches, model).in_order(16))

    (images,) = batches.in_order(len(batches))
    maps, landmarks, labels, rows = (torch.cat(one) for one in zip(*found, strict=True))
    expected = model.prefix(scale_pixels(images.images))
    assert maps.shape[1:] == (4, 24, 24)
    torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(landmarks, images.landmarks)
    assert torch.equal(labels, batches.labels)
    assert rows.tolist() == list(range(len(batches)))
    assert not maps.requires_grad


def test_streams_that_share_nothing_get_images_between_0_and_1(
    tiny_run: MakeRun, batches: Batches
) -> None:
    model = build_model(tiny_run(), num_classes=12, num_landmarks=8)

    first = next(live(batches, model).in_order(16))

    (images,) = batches.read([torch.arange(16)])
    assert torch.equal(first.maps, scale_pixels(images.images))


def test_training_gives_the_rows_of_each_step_in_their_order(
    batches: Batches, model: TwoStreamClassifier
) -> None:
    found = trained_on(live(batches, model))

    steps = steps_of(len(batches))
    assert [batch.rows.tolist() for batch in found] == [rows.tolist() for rows in steps]
    assert all(torch.equal(batch.labels, batches.labels[batch.rows]) for batch in found)


def test_augmentation_depends_on_seed_epoch_and_step_alone(
    batches: Batches, model: TwoStreamClassifier
) -> None:
    first = trained_on(live(batches, model))
    torch.manual_seed(99)

    assert_equal(trained_on(live(batches, model)), first)
    for other in ({"epoch": 1}, {"seed": 4}):
        changed = trained_on(live(batches, model), **other)
        assert not torch.equal(changed[0].maps, first[0].maps)
    plain = trained_on(live(batches, model, augmentation=PLAIN))
    assert not torch.equal(plain[0].maps, first[0].maps)
    assert torch.equal(plain[0].rows, first[0].rows)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_the_number_of_processes_changes_no_image(
    batches: Batches, model: TwoStreamClassifier, size: int
) -> None:
    whole = trained_on(live(batches, model))

    shares = [
        trained_on(live(batches, model, Compute(CPU.device, world=World(rank, size))))
        for rank in range(size)
    ]

    joined = interleaved(shares)
    assert len(whole[-1].rows) < 16  # a smaller last step
    for one, other in zip(joined, whole, strict=True):
        torch.testing.assert_close(one.maps, other.maps, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one.landmarks, other.landmarks, rtol=1e-5, atol=1e-4)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.rows, other.rows)


@pytest.mark.parametrize("augmentation", [PLAIN, AugmentationConfig()])
def test_a_process_without_a_row_in_a_step_gets_an_empty_batch(
    batches: Batches, model: TwoStreamClassifier, augmentation: AugmentationConfig
) -> None:
    steps = [torch.tensor([4, 1]), torch.tensor([3])]
    last = live(batches, model, Compute(CPU.device, world=World(1, 2)), augmentation)

    first, second = last.training(steps, seed=0, epoch=0)

    assert first.rows.tolist() == [1]
    assert second.maps.shape == (0, 4, 24, 24)
    assert second.landmarks.shape == (0, 8, 3)
    assert second.labels.shape == second.rows.shape == (0,)


@pytest.mark.parametrize("is_cached", [False, True])
def test_processes_take_turns_with_the_batches_of_a_pass(
    batches: Batches, model: TwoStreamClassifier, tmp_path: Path, is_cached: bool
) -> None:
    def maps(world: World) -> Maps:
        compute = Compute(CPU.device, world=world)
        if is_cached:
            return cached(tmp_path / f"{world.rank}", batches, model, compute=compute)
        return live(batches, model, compute)

    whole = list(live(batches, model).in_order(9))
    shares = [list(maps(World(rank, 3)).in_order(9)) for rank in range(3)]

    for rank, share in enumerate(shares):
        assert_equal(share, whole[rank::3])


def test_an_empty_split_has_no_maps(tiny_run: MakeRun, model: TwoStreamClassifier) -> None:
    class Nothing:
        labels = np.zeros(0, dtype=np.int64)

        def __getitem__(self, index: int) -> Any:
            raise IndexError(index)

        def source(self, index: int) -> str:
            raise IndexError(index)

    empty = Batches(Nothing(), image_size=24, config=tiny_run().core.loading)

    assert list(live(empty, model).in_order(4)) == []
    assert list(live(empty, model).training([], seed=0, epoch=0)) == []


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_maps_computed_in_reduced_precision_are_handed_over_in_fp32(
    batches: Batches, model: TwoStreamClassifier, precision: Literal["bf16", "fp16"]
) -> None:
    reduced = Compute(CPU.device, ComputeConfig(precision=precision))

    found = next(live(batches, model, reduced).in_order(16))

    exact = next(live(batches, model).in_order(16))
    assert found.maps.dtype == torch.float32
    assert not torch.equal(found.maps, exact.maps)
    largest = exact.maps.abs().max()
    assert (found.maps - exact.maps).abs().max() < 0.02 * largest


def test_an_fp32_cache_gives_what_is_computed_bit_for_bit(
    batches: Batches, model: TwoStreamClassifier, tmp_path: Path
) -> None:
    kept = cached(tmp_path / "a", batches, model)
    computed = live(batches, model, augmentation=PLAIN)

    assert len(kept) == len(computed) == len(batches)
    assert_equal(kept.in_order(50), computed.in_order(50))
    for one, other in zip(trained_on(kept), trained_on(computed), strict=True):
        torch.testing.assert_close(one.maps, other.maps, rtol=0, atol=1e-6)  # other batch sizes
        assert all(map(torch.equal, one[1:], other[1:]))


def test_an_fp16_cache_differs_by_less_than_a_thousandth(
    batches: Batches, model: TwoStreamClassifier, tmp_path: Path
) -> None:
    kept = cached(tmp_path / "a", batches, model, precision="fp16")

    for one, other in zip(kept.in_order(50), live(batches, model).in_order(50), strict=True):
        assert 0 < (one.maps - other.maps).abs().max() < 1e-3 * other.maps.abs().max()
        assert all(map(torch.equal, one[1:], other[1:]))


@pytest.mark.parametrize("views", [0, 3])
def test_the_number_of_processes_changes_no_cached_image(
    batches: Batches, model: TwoStreamClassifier, tmp_path: Path, views: int
) -> None:
    whole = trained_on(cached(tmp_path / "whole", batches, model, views=views))

    shares = []
    for rank in range(3):
        compute = Compute(CPU.device, world=World(rank, 3))
        maps = cached(tmp_path / f"{rank}", batches, model, views=views, compute=compute)
        shares.append(trained_on(maps))

    assert_equal(interleaved(shares), whole)


def test_views_are_the_same_in_whatever_company_they_are_computed(
    batches: Batches, model: TwoStreamClassifier
) -> None:
    places = torch.tensor([1, 5, len(batches) + 1, len(batches) + 5])

    (together,) = live(batches, model).views([places], seed=3)
    alone = list(live(batches, model).views(list(places.flip(0).split(1)), seed=3))

    assert together.rows.tolist() == [1, 5, 1, 5]
    for position, one in enumerate(reversed(alone)):
        torch.testing.assert_close(one.maps[0], together.maps[position], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one.landmarks[0], together.landmarks[position])
    assert not torch.equal(together.maps[0], together.maps[2])  # two views of one image
    (other,) = live(batches, model).views([places], seed=4)
    assert not torch.equal(other.maps, together.maps)


def test_training_shows_every_cached_view_and_the_dictionary_none(
    batches: Batches, model: TwoStreamClassifier, tmp_path: Path
) -> None:
    maps = cached(tmp_path / "a", batches, model, views=2)
    views = [
        torch.cat([part.maps for part in live(batches, model).views([one], seed=3)])
        for one in torch.arange(2 * len(batches)).split(len(batches))
    ]

    shown = set[int]()
    for batch in trained_on(maps):
        for row, found in zip(batch.rows.tolist(), batch.maps, strict=True):
            distances = [float((view[row] - found).abs().max()) for view in views]
            shown.add(distances.index(min(distances)))
            assert min(distances) < 1e-5

    assert shown == {0, 1}
    assert_equal(maps.in_order(50), live(batches, model).in_order(50))
