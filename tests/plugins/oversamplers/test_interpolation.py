from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fdmo_core import DataError, LabelledFeatures
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import toy_features
from fdmo_plugins.oversamplers.interpolation import Interpolation, foreign_neighbours

SIZES = (20, 9, 3, 1)
ORDER = torch.randperm(sum(SIZES), generator=rng_for(0, "interpolation"))


def real() -> LabelledFeatures:
    """Return features whose classes do not follow each other."""
    features, labels, _ = toy_features(SIZES)
    return LabelledFeatures(features[ORDER], labels[ORDER])


def interpolation(
    *, neighbors: int = 5, lots: Callable[[Tensor], Tensor] = torch.ones_like
) -> Interpolation:
    return Interpolation(real(), num_classes=4, neighbors=neighbors, lots=lots)


def rows_of(label: int) -> list[int]:
    return torch.nonzero(real().labels == label).flatten().tolist()


def nearest_in_class(row: int, count: int) -> set[int]:
    features, labels = real()
    others = [one for one in rows_of(int(labels[row])) if one != row]
    return set(
        sorted(others, key=lambda one: float((features[one] - features[row]).norm()))[:count]
    )


def test_a_feature_lies_between_its_row_and_a_neighbour_as_its_weights_say() -> None:
    labels = torch.tensor([0, 1, 2, 3, 1, 0])

    features, weights, rows = interpolation().make(labels, rng_for(1), num_streams=2)

    assert weights is not None
    assert rows is not None
    assert weights.shape == (6, 2, 2)
    for sample, (base, neighbour) in enumerate(rows.tolist()):
        assert weights[sample, 0].tolist() == weights[sample, 1].tolist()
        step = weights[sample, 0, 1].item()
        assert weights[sample, 0, 0].item() == pytest.approx(1 - step)
        for column, value in enumerate(features[sample].tolist()):
            start = real().features[base, column].item()
            end = real().features[neighbour, column].item()
            assert value == pytest.approx(start + step * (end - start), abs=1e-5)


@pytest.mark.parametrize(("label", "count"), [(0, 5), (1, 5), (2, 2)])
def test_rows_and_all_of_their_nearest_neighbours_in_the_class_are_used(
    label: int, count: int
) -> None:
    rows = interpolation().make(torch.full((4000,), label), rng_for(1), num_streams=2).rows

    assert rows is not None
    used: dict[int, set[int]] = {}
    for base, neighbour in rows.tolist():
        used.setdefault(base, set()).add(neighbour)
    assert used == {row: nearest_in_class(row, count) for row in rows_of(label)}


def test_a_single_row_is_copied_and_its_copy_names_it_alone() -> None:
    made = interpolation().make(torch.tensor([3, 3]), rng_for(1), num_streams=2)

    (row,) = rows_of(3)
    assert torch.equal(made.features, real().features[[row, row]])
    assert made.rows is not None
    assert made.rows.tolist() == [[row, row]] * 2
    assert made.weights is not None
    assert made.weights.tolist() == [[[1.0, 0.0]] * 2] * 2


def test_rows_are_drawn_in_proportion_to_their_lots() -> None:
    points = interpolation(lots=lambda rows: rows % 3)
    labels = torch.tensor([0, 1]).repeat(20_000)

    rows = points.make(labels, rng_for(1), num_streams=2).rows

    assert rows is not None
    counts = rows[:, 0].bincount(minlength=sum(SIZES)).tolist()
    for label in (0, 1):
        total = sum(row % 3 for row in rows_of(label))
        for row in rows_of(label):
            expected = 20_000 * (row % 3) / total
            assert counts[row] == pytest.approx(expected, abs=5 * expected**0.5)  # 5 deviations


def test_steps_are_uniform_between_0_and_1() -> None:
    made = interpolation().make(torch.ones(20_000).long(), rng_for(1), num_streams=1)

    assert made.weights is not None
    steps = made.weights[:, 0, 1].sort().values
    uniform = torch.linspace(0, 1, len(steps))
    assert (steps - uniform).abs().max() < 1.95 / len(steps) ** 0.5  # Kolmogorov-Smirnov, .001


def test_what_is_made_does_not_depend_on_which_classes_were_asked_for_before() -> None:
    fresh, used = interpolation(), interpolation()
    for label in (2, 0):
        used.make(torch.tensor([label]), rng_for(2), num_streams=2)
    labels = torch.tensor([1, 2, 0, 1])

    first, second = (one.make(labels, rng_for(1), num_streams=2) for one in (fresh, used))

    assert torch.equal(first.features, second.features)


def test_a_class_that_nobody_asks_for_is_not_searched() -> None:
    seen: list[int] = []

    def lots(rows: Tensor) -> Tensor:
        seen.append(len(rows))
        return torch.ones_like(rows)

    points = interpolation(lots=lots)
    for _ in range(2):
        points.make(torch.tensor([1, 2, 1]), rng_for(1), num_streams=2)

    assert seen == [9, 3]


def test_no_labels_make_no_features() -> None:
    made = interpolation().make(torch.tensor([]).long(), rng_for(1), num_streams=2)

    assert made.features.shape == (0, 7)


def test_a_class_without_a_row_is_refused() -> None:
    points = Interpolation(real(), num_classes=6, neighbors=5, lots=torch.ones_like)

    with pytest.raises(DataError) as caught:
        points.make(torch.tensor([1, 5]), rng_for(1), num_streams=2)

    assert str(caught.value) == (
        "Class 5 has no real feature to make artificial ones of. Expected at least one. Leave the "
        "class out."
    )


@pytest.mark.parametrize("neighbors", [1, 6, 32, 100])
def test_foreign_neighbours_are_those_of_other_classes_among_the_nearest(neighbors: int) -> None:
    features, labels = real()
    rows = torch.tensor(rows_of(1))

    is_foreign = foreign_neighbours(real(), rows, neighbors)

    count = min(neighbors, len(labels) - 1)
    assert is_foreign.shape == (9, count)
    for line, row in enumerate(rows.tolist()):
        distances = (features.double() - features[row].double()).norm(dim=1)
        nearest = [one for one in distances.argsort().tolist() if one != row][:count]
        assert int(is_foreign[line].sum()) == sum(int(labels[one]) != 1 for one in nearest)


def test_a_store_of_one_row_has_no_foreign_neighbours() -> None:
    alone = LabelledFeatures(torch.ones(1, 3), torch.tensor([0]))

    assert foreign_neighbours(alone, torch.tensor([0]), 10).shape == (1, 0)
