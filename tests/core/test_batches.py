import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core.batches import READ_BATCH, Batch, Batches, LoadingConfig, scale_pixels
from fdmo_core.preprocessing import prepare
from fdmo_core.randomness import rng_for
from fdmo_core.samples import NO_IMAGE, Sample, Splits

IN_MEMORY, FROM_SOURCE = 64, 0  # MiB that may be kept
SIZE = 16


class StripedSplit:
    """Images of two grey values each that tell their number, with one landmark each."""

    def __init__(self, count: int) -> None:
        self._labels = np.arange(count, dtype=np.int64) * 3 % 7
        self.reads = 0

    @property
    def labels(self) -> NDArray[np.int64]:
        return self._labels

    def __getitem__(self, index: int) -> Sample:
        self.reads += 1
        image = np.full((20, 30, 3), index % 256, dtype=np.uint8)
        image[:, ::2] = index // 2
        landmarks = np.array([[index % 30, index % 20, index % 4]], dtype=np.float32)
        return Sample(image, int(self._labels[index]), landmarks=landmarks)

    def source(self, index: int) -> str:
        return f"striped/{index}"


def batches(count: int, *, memory_mib: int = IN_MEMORY, workers: int = 0) -> Batches:
    config = LoadingConfig(memory_mib=memory_mib, workers=workers)
    return Batches(StripedSplit(count), image_size=SIZE, config=config)


def shuffled(count: int, batch_size: int) -> Sequence[Tensor]:
    parts: Sequence[Tensor] = torch.randperm(count, generator=rng_for(0)).split(batch_size)
    return parts


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def rows_of(found: list[Batch]) -> list[int]:
    return torch.cat([batch.rows for batch in found]).tolist()


def test_a_batch_holds_each_row_as_preparation_gives_it() -> None:
    split = StripedSplit(11)
    rows = [7, 2, 2, 10, 0]

    found = list(batches(11).read(torch.tensor(rows).split(2)))

    assert [batch.rows.tolist() for batch in found] == [[7, 2], [2, 10], [0]]
    whole = Batch(*(torch.cat(column) for column in zip(*found, strict=True)))
    for position, row in enumerate(rows):
        prepared = prepare(split[row], SIZE)
        assert torch.equal(whole.images[position], prepared.image)
        assert torch.equal(whole.landmarks[position], prepared.landmarks)
        assert whole.labels[position] == split.labels[row]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("memory_mib", [IN_MEMORY, FROM_SOURCE])
def test_batches_are_the_same_from_wherever_and_by_whomever_they_are_read(
    memory_mib: int, workers: int
) -> None:
    count = READ_BATCH + 11  # so that more than one request fills the memory

    loaded = batches(count, memory_mib=memory_mib, workers=workers)

    assert loaded.fits_memory == (memory_mib == IN_MEMORY)
    parts = shuffled(count, 9)
    expected = list(batches(count).read(parts))
    assert_same(list(loaded.read(parts)), expected)
    assert_same(list(loaded.read(parts)), expected)  # a later pass


@pytest.mark.parametrize("memory_mib", [IN_MEMORY, FROM_SOURCE])
def test_in_order_gives_every_row_once_and_a_smaller_last_batch(memory_mib: int) -> None:
    found = list(batches(10, memory_mib=memory_mib).in_order(4))

    assert rows_of(found) == list(range(10))
    assert [len(batch.images) for batch in found] == [4, 4, 2]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("memory_mib", [IN_MEMORY, FROM_SOURCE])
def test_a_part_may_be_empty(memory_mib: int, workers: int) -> None:
    parts = [torch.tensor([3, 1]), torch.tensor([], dtype=torch.int64), torch.tensor([4])]

    found = list(batches(5, memory_mib=memory_mib, workers=workers).read(parts))

    assert [batch.rows.tolist() for batch in found] == [[3, 1], [], [4]]
    assert found[1].images.shape == (0, 3, SIZE, SIZE)
    assert found[1].landmarks.shape == (0, 1, 3)


@pytest.mark.parametrize("memory_mib", [IN_MEMORY, FROM_SOURCE])
def test_a_pass_that_is_broken_off_reads_one_batch_ahead_and_no_more(memory_mib: int) -> None:
    split = StripedSplit(20)
    loaded = Batches(split, image_size=SIZE, config=LoadingConfig(memory_mib=memory_mib))
    for _ in loaded.keep():
        pass
    split.reads = 0

    passing = loaded.read(torch.arange(20).split(2))
    first = next(passing)
    passing.close()  # type: ignore[attr-defined]

    assert first.rows.tolist() == [0, 1]
    assert split.reads <= 4


def test_the_memory_is_filled_once() -> None:
    split = StripedSplit(20)
    loaded = Batches(split, image_size=SIZE, config=LoadingConfig())

    for _ in range(3):
        list(loaded.in_order(6))

    assert split.reads == 20


def test_what_does_not_fit_is_read_at_every_pass() -> None:
    split = StripedSplit(20)
    loaded = Batches(split, image_size=SIZE, config=LoadingConfig(memory_mib=0))

    for _ in range(3):
        list(loaded.in_order(6))

    assert split.reads == 60


@pytest.mark.parametrize(("count", "fits"), [(4096, True), (4097, False)])
def test_images_are_kept_up_to_the_given_memory(count: int, fits: bool) -> None:
    assert 4096 * 3 * SIZE**2 == 3 * 2**20

    assert batches(count, memory_mib=3).fits_memory == fits


def test_keeping_tells_how_many_images_each_part_has() -> None:
    loaded = batches(2 * READ_BATCH + 5)

    assert list(loaded.keep()) == [READ_BATCH, READ_BATCH, 5]
    assert list(loaded.keep()) == []


def test_keeping_that_was_broken_off_is_done_again() -> None:
    loaded = batches(READ_BATCH + 5)

    list(itertools.islice(loaded.keep(), 1))

    assert rows_of(list(loaded.in_order(50))) == list(range(READ_BATCH + 5))


@pytest.mark.parametrize("memory_mib", [IN_MEMORY, FROM_SOURCE])
def test_an_empty_split_gives_no_batch(memory_mib: int) -> None:
    loaded = batches(0, memory_mib=memory_mib)

    assert len(loaded) == 0
    assert list(loaded.in_order(4)) == []
    assert list(loaded.read([])) == []


def test_a_batch_goes_to_a_device_with_all_it_holds() -> None:
    (batch,) = batches(3).in_order(4)

    moved = batch.to(torch.device("meta"))

    assert {tensor.device.type for tensor in moved} == {"meta"}
    assert [tensor.shape for tensor in moved] == [tensor.shape for tensor in batch]


def test_pixels_are_scaled_to_between_0_and_1() -> None:
    images: Tensor = torch.tensor([0, 51, 255], dtype=torch.uint8)

    scaled = scale_pixels(images)

    assert scaled.dtype == torch.float32
    assert scaled.tolist() == pytest.approx([0.0, 0.2, 1.0])


@pytest.mark.parametrize("memory_mib", [IN_MEMORY, FROM_SOURCE])
def test_features_are_batched_as_they_are(feature_splits: Splits, memory_mib: int) -> None:
    config = LoadingConfig(memory_mib=memory_mib)
    given = Batches(feature_splits.train, image_size=SIZE, config=config, feature_dim=8)

    first, second = given.read([torch.tensor([7, 0, 7]), torch.tensor([47])])

    expected = np.array([feature_splits.train[row].features for row in (7, 0, 7)])
    np.testing.assert_array_equal(first.images.numpy(), expected)
    assert first.images.dtype == torch.float32
    assert first.landmarks.shape == (3, 0, 3)
    assert second.labels.tolist() == [2]
    assert torch.equal(scale_pixels(first.images), first.images)


def test_features_that_would_need_more_memory_are_read_each_time() -> None:
    class Wide(StripedSplit):
        def __getitem__(self, index: int) -> Sample:
            self.reads += 1
            return Sample(NO_IMAGE, 0, features=np.zeros(2**17, np.float32))

    def reads(memory_mib: int) -> int:
        split, config = Wide(4), LoadingConfig(memory_mib=memory_mib)
        given = Batches(split, image_size=SIZE, config=config, feature_dim=2**17)
        for _ in range(2):
            list(given.in_order(4))
        return split.reads

    assert reads(2) == 4  # 4 rows of half a MiB
    assert reads(1) == 8
