import pytest
import torch
from torch import Tensor

from fdmo_core.randomness import rng_for
from fdmo_plugins.oversamplers.neighbours import SPARE, nearest_rows


def looped(features: Tensor, queries: Tensor, among: Tensor, num_nearest: int) -> list[list[int]]:
    """Sort all others by distance in float64, then by row number."""
    exact = features.double()
    nearest = []
    for query in queries.tolist():
        distances = (exact[among] - exact[query]).square().sum(dim=1).tolist()
        others = [
            (distance, row)
            for distance, row in zip(distances, among.tolist(), strict=True)
            if row != query
        ]
        nearest.append(sorted(row for _, row in sorted(others)[:num_nearest]))
    return nearest


def normal(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=rng_for(0, "neighbours"))


def whole_numbers(*shape: int, below: int) -> Tensor:
    return torch.randint(below, shape, generator=rng_for(0, "neighbours")).float()


HARD = {
    "scattered": normal(300, 20),
    "in one dimension": normal(300, 1),
    "many at one distance": whole_numbers(300, 4, below=3),
    "each row many times": whole_numbers(300, 2, below=3),
    "all alike": torch.full((300, 5), 0.1),
    "half of them alike": torch.cat([normal(150, 6), torch.ones(150, 6)]),
    "far from the origin": 1e4 + normal(300, 20, scale=1e-2),
    "two clusters far apart": normal(300, 6, scale=1e-3) + 1e3 * (torch.arange(300) % 2)[:, None],
    "as close as rounding lets them": 1
    + torch.finfo(torch.float32).eps * whole_numbers(300, 3, below=4),
    "one outlier": torch.cat([normal(299, 6), torch.full((1, 6), 1e6)]),
    "squares beyond float32": normal(300, 4, scale=1e25),
    "some squares beyond float32": torch.cat(
        [normal(3, 4), 1e25 * torch.tensor([1.0, -1.0]).repeat(20).unsqueeze(1).expand(40, 4)]
    ),
    "of all magnitudes": normal(300, 4) * 10.0 ** (torch.arange(300) % 34).unsqueeze(1),
    "squares below float32": normal(300, 4, scale=1e-30),
    "several parts at a time": whole_numbers(1200, 4, below=5),
    "parts of a few long rows": normal(20, 2**18),
}


@pytest.mark.parametrize("features", HARD.values(), ids=HARD)
def test_neighbours_are_those_of_a_loop_in_float64(features: Tensor) -> None:
    rows = torch.arange(len(features))

    nearest = nearest_rows(features, rows, rows, 5)

    assert nearest.tolist() == looped(features, rows, rows, 5)


@pytest.mark.parametrize("features", HARD.values(), ids=HARD)
def test_some_rows_find_their_neighbours_among_others(features: Tensor) -> None:
    among = torch.arange(0, len(features), 2)
    queries = torch.arange(2, len(features), 6)

    nearest = nearest_rows(features, queries, among, 7)

    assert nearest.tolist() == looped(features, queries, among, 7)


@pytest.mark.parametrize("num_nearest", [0, 1, 3, 9 - SPARE, 9])
def test_any_number_of_neighbours_is_found_up_to_all_the_others(num_nearest: int) -> None:
    features, rows = normal(10, 3), torch.arange(10)

    nearest = nearest_rows(features, rows, rows, num_nearest)

    assert nearest.shape == (10, num_nearest)
    assert nearest.tolist() == looped(features, rows, rows, num_nearest)


def test_of_copies_the_first_are_neighbours_and_none_is_its_own() -> None:
    rows = torch.arange(6)

    nearest = nearest_rows(torch.ones(6, 3), rows, rows, 2)

    assert nearest.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


def test_a_shift_of_all_features_leaves_the_neighbours_as_they_are() -> None:
    features, rows = whole_numbers(200, 5, below=30), torch.arange(200)

    moved = features + 2.0**18  # still whole numbers that float32 holds

    assert torch.equal(nearest_rows(features, rows, rows, 4), nearest_rows(moved, rows, rows, 4))
