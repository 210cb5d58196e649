"""Coverage, against a plain loop."""

import pytest
import torch

from fdmo_core.provenance.coverage import coverage


def looped(real: torch.Tensor, artificial: torch.Tensor, neighbours: int) -> float:
    covered = 0
    for i, x in enumerate(real):
        others = sorted((x - y).norm().item() for j, y in enumerate(real) if i != j)
        nearest = min((x - y).norm().item() for y in artificial)
        covered += nearest <= others[neighbours - 1]
    return covered / len(real)


@pytest.mark.parametrize(("rows", "neighbours"), [(40, 5), (6, 5), (4, 3), (2, 1)])
def test_it_is_the_share_of_real_rows_with_an_artificial_neighbour(
    rows: int, neighbours: int
) -> None:
    rng = torch.Generator().manual_seed(rows)
    real, artificial = torch.randn(rows, 2, generator=rng), torch.randn(3, 2, generator=rng)

    found = coverage(real, artificial)

    assert found == looped(real.double(), artificial.double(), neighbours)


def test_copies_cover_everything_and_far_rows_nothing() -> None:
    real = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))

    assert coverage(real, real) == 1
    assert coverage(real, real + 100) == 0


def test_equal_real_rows_are_covered_by_a_copy_alone() -> None:
    real = torch.full((7, 3), 0.1)

    assert coverage(real, real[:1]) == 1
    assert coverage(real, real[:1] + 1e-3) == 0
