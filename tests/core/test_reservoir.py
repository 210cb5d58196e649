import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from fdmo_core.randomness import rng_for
from fdmo_core.reservoir import HeldRows, Reservoir, priorities

CAP = 10
SIZES = (40, 10, 9, 0, 25)
NUM_FEATURES = 37  # a width that no other tensor has, so that rows can be found in memory


def rows(sizes: tuple[int, ...] = SIZES) -> HeldRows:
    """Return rows with sources that are no row numbers, each feature telling its source."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    sources = 7 * torch.randperm(len(labels), generator=rng_for(0, "sources")) + 3
    return HeldRows(sources.float().unsqueeze(1).repeat(1, NUM_FEATURES), labels, sources)


def held(
    stream: HeldRows, *, seed: int = 0, cap: int = CAP, lengths: list[int] | None = None
) -> HeldRows:
    """Return what a reservoir holds after a stream that came in parts of these lengths."""
    reservoir = Reservoir(num_classes=len(SIZES), max_per_class=cap, seed=seed)
    parts = [column.split(lengths or [len(stream.labels)]) for column in stream]
    for features, labels, sources in zip(*parts, strict=True):
        reservoir.offer(features, labels, sources)
    return reservoir.held()


def shuffled(stream: HeldRows, seed: int) -> HeldRows:
    order = torch.randperm(len(stream.labels), generator=rng_for(seed, "order"))
    return HeldRows(*(column[order] for column in stream))


def assert_same(one: HeldRows, other: HeldRows) -> None:
    assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


@contextmanager
def only_new_objects_collected() -> Iterator[None]:
    """Hide what exists already from the garbage collector, so that looking around is quick."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def rows_in_memory() -> int:
    tensors = [one for one in gc.get_objects() if type(one) is Tensor and one.dim() == 2]
    return sum(len(one) for one in tensors if one.shape[1] == NUM_FEATURES)


def test_every_class_keeps_what_it_has_up_to_the_cap() -> None:
    kept = held(rows())

    assert kept.labels.bincount(minlength=len(SIZES)).tolist() == [10, 10, 9, 0, 10]


def test_rows_below_the_cap_are_all_kept_whole() -> None:
    stream = rows()

    kept = held(stream, cap=40)

    expected = sorted(zip(stream.labels.tolist(), stream.sources.tolist(), strict=True))
    assert list(zip(kept.labels.tolist(), kept.sources.tolist(), strict=True)) == expected
    assert torch.equal(kept.features[:, 5], kept.sources.float())


def test_a_class_keeps_the_rows_of_lowest_priority() -> None:
    stream = rows()

    kept = held(stream, seed=4)

    for label in range(len(SIZES)):
        sources = stream.sources[stream.labels == label]
        ranked = sorted(sources.tolist(), key=lambda one: int(priorities(4, torch.tensor([one]))))
        assert kept.sources[kept.labels == label].tolist() == sorted(ranked[:CAP])


def test_rows_are_in_order_of_class_and_then_of_source() -> None:
    kept = held(shuffled(rows(), 1))

    pairs = list(zip(kept.labels.tolist(), kept.sources.tolist(), strict=True))
    assert pairs == sorted(pairs)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_stream_and_its_parts_change_nothing(seed: int) -> None:
    stream = rows()
    whole = held(stream)
    cuts = torch.randperm(83, generator=rng_for(seed, "cuts"))[:7].sort().values + 1
    lengths = torch.diff(cuts, prepend=torch.tensor([0]), append=torch.tensor([84])).tolist()

    assert_same(held(shuffled(stream, seed), lengths=lengths), whole)
    assert_same(held(shuffled(stream, seed), lengths=[1] * 84), whole)


def test_shards_merge_into_what_one_pass_would_have_held() -> None:
    stream = shuffled(rows(), 3)
    shards = [HeldRows(*(column[start::3] for column in stream)) for start in range(3)]

    merged = Reservoir(num_classes=len(SIZES), max_per_class=CAP, seed=0)
    for shard in shards:
        merged.offer(*held(shard))

    assert_same(merged.held(), held(stream))


def test_asking_in_between_changes_nothing() -> None:
    stream = rows()
    reservoir = Reservoir(num_classes=len(SIZES), max_per_class=CAP, seed=0)

    for features, labels, sources in zip(*(column.split(6) for column in stream), strict=True):
        reservoir.offer(features, labels, sources)
        reservoir.held()

    assert_same(reservoir.held(), held(stream))


def test_every_row_is_kept_equally_often_over_many_seeds() -> None:
    num_rows, cap, num_seeds = 30, 10, 600
    labels, sources = torch.zeros(num_rows, dtype=torch.int64), torch.arange(num_rows)

    kept = torch.zeros(num_rows)
    for seed in range(num_seeds):
        reservoir = Reservoir(num_classes=1, max_per_class=cap, seed=seed)
        reservoir.offer(torch.zeros(num_rows, 1), labels, sources)
        kept[reservoir.held().sources] += 1

    share = cap / num_rows
    deviation = ((kept - num_seeds * share) ** 2).sum() / (num_seeds * share * (1 - share))
    chi_square = float(deviation) * (num_rows - 1) / num_rows  # drawn without replacement
    assert 13.1 < chi_square < 58.3  # 0.5 % and 99.9 % of 29 degrees of freedom


def test_priorities_are_known_numbers_so_that_old_dictionaries_can_be_repeated() -> None:
    assert priorities(0, torch.arange(4)).tolist() == [
        4005325432988901380,
        -8200136779529969371,
        -3652420994893114843,
        -7301432718972167133,
    ]


def test_priorities_belong_to_the_source_and_not_to_the_row() -> None:
    sources = torch.tensor([5, 1_000_000, 2, 5])

    found = priorities(9, sources)

    assert found.tolist() == [int(priorities(9, one.unsqueeze(0))) for one in sources]
    assert not torch.equal(found, priorities(10, sources))


@pytest.mark.parametrize("descending", [False, True])
def test_memory_is_bounded_by_the_cap_and_not_by_the_stream(descending: bool) -> None:
    sources = torch.arange(2000)
    order = priorities(0, sources).argsort(descending=descending)  # best rows first, or last
    reservoir = Reservoir(num_classes=2, max_per_class=50, seed=0)

    most = 0
    with only_new_objects_collected():
        for part in sources[order].split(40):
            reservoir.offer(torch.zeros(40, NUM_FEATURES), part % 2, part)
            most = max(most, rows_in_memory())

    assert 100 <= most <= 2 * (2 * 50) + 40  # twice two classes' cap, and a batch


def test_a_reservoir_that_was_offered_nothing_holds_nothing() -> None:
    kept = Reservoir(num_classes=2, max_per_class=5, seed=0).held()

    assert [len(column) for column in kept] == [0, 0, 0]
    assert kept.labels.dtype == kept.sources.dtype == torch.int64
