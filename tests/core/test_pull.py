import pytest
import torch
from torch import Tensor

from fdmo_core.pull import pull_maps
from fdmo_core.randomness import rng_for


def pulled(maps: Tensor, *, largest: float = 0.6, partners: int = 3) -> Tensor:
    return pull_maps(maps, largest=largest, partners=partners, rng=rng_for(0, "test"))


def test_each_row_is_mixed_as_a_plain_loop_mixes_it() -> None:
    maps = torch.randn(5, 2, 3, 3)

    rng = rng_for(0, "test")
    shares = 0.6 * torch.rand(5, 1, generator=rng)
    spacing = -torch.rand(5, 3, generator=rng).log()
    partners = torch.randint(5, (5, 3), generator=rng)
    for row in range(5):
        expected = (1 - shares[row]) * maps[row]
        for one in range(3):
            weight = shares[row] * spacing[row, one] / spacing[row].sum()
            expected = expected + weight * maps[partners[row, one]]
        torch.testing.assert_close(pulled(maps)[row], expected)


def test_a_row_keeps_at_least_what_the_largest_share_leaves() -> None:
    own = torch.eye(400)

    kept = pulled(own, largest=0.3).diagonal()

    assert kept.min() > 0.7
    assert kept.min() < 0.72  # and shares go up to the largest
    assert kept.max() > 0.98


def test_a_mixture_is_convex() -> None:
    mixed = pulled(torch.eye(50))

    assert (mixed >= 0).all()
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(50))


def test_the_mean_weight_of_the_others_is_half_the_largest_share_evenly_spread() -> None:
    mixed = pulled(torch.eye(2000), largest=0.6, partners=2)

    assert 1 - mixed.diagonal().mean().item() == pytest.approx(0.3, abs=0.01)


def test_a_batch_of_one_stays_as_it_is() -> None:
    maps = torch.randn(1, 4, 2, 2)

    torch.testing.assert_close(pulled(maps), maps)


def test_the_memory_layout_is_kept() -> None:
    maps = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)

    assert pulled(maps).is_contiguous(memory_format=torch.channels_last)
    assert pulled(maps.contiguous()).is_contiguous()
