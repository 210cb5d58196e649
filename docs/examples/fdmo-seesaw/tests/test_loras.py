import pytest
import torch
from fdmo_seesaw.loras import Loras, LorasConfig
from torch import Tensor

from fdmo_core import DrawnFeatures
from fdmo_core.testing import Check, checks_for

SAMPLES = 8
STREAM_DIMS = (3, 2)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generator_of(neighbors: int) -> Loras:
    return Loras(
        LorasConfig(neighbors=neighbors),
        num_classes=2,
        stream_dims=STREAM_DIMS,
        samples_per_class=SAMPLES,
    )


def drawn_sets() -> DrawnFeatures:
    """Two classes, of eight rows and of three, with five samples in turn."""
    store = torch.randn(11, sum(STREAM_DIMS), generator=rng(1))
    rows = torch.stack([torch.arange(8), torch.tensor([8, 9, 10, 8, 8, 8, 8, 8])])
    mask = torch.ones(2, SAMPLES, dtype=torch.bool)
    mask[1, 3:] = False
    return DrawnFeatures(store, rows, mask, torch.tensor([0, 1, 0, 1, 0]))


def by_loops(noise: Tensor, drawn: DrawnFeatures, neighbors: int) -> Tensor:
    """Return the mixtures, one sample and one row after the other."""
    made = []
    for sample, group in enumerate(drawn.groups.tolist()):
        held = [at for at in range(SAMPLES) if drawn.mask[group, at]]
        rows = {at: drawn.store[drawn.rows[group, at]] for at in held}
        numbers = noise[sample].tolist()
        middle = max(held, key=lambda at: numbers[at])
        nearest = sorted(held, key=lambda at: float(torch.dist(rows[middle], rows[at])))
        parts = {
            at: numbers[SAMPLES + at] ** 2 + numbers[2 * SAMPLES + at] ** 2
            for at in nearest[: neighbors + 1]
        }
        made.append(sum(part / sum(parts.values()) * rows[at] for at, part in parts.items()))
    return torch.stack([torch.as_tensor(one) for one in made])


@pytest.mark.parametrize("check", checks_for("generator"), ids=lambda check: check.__name__)
def test_keeps_to_the_contract_of_a_generator(check: Check) -> None:
    check(Loras, LorasConfig(neighbors=2))


@pytest.mark.parametrize("neighbors", [1, 2, 5, 20])
def test_is_what_plain_loops_give(neighbors: int) -> None:
    drawn, noise = drawn_sets(), torch.randn(5, 3 * SAMPLES, generator=rng())

    made = generator_of(neighbors)(torch.tensor([0, 1, 0, 1, 0]), drawn, rng())

    assert torch.allclose(made.features, by_loops(noise, drawn, neighbors), atol=1e-6)


def test_the_weights_for_other_trainers_are_those_that_it_mixes_by() -> None:
    drawn, labels = drawn_sets(), torch.tensor([0, 1, 0, 1, 0])
    generator = generator_of(3)
    noise = torch.randn(5, generator.noise_dim, generator=rng())

    weights = generator.weigh(
        noise, labels, drawn.features()[drawn.groups], drawn.mask[drawn.groups]
    )

    made = generator(labels, drawn, rng()).weights
    assert made is not None
    assert torch.allclose(weights, made)


def test_as_many_rows_are_mixed_as_there_are_neighbours_and_one() -> None:
    made = generator_of(3)(torch.tensor([0, 1, 0, 1, 0]), drawn_sets(), rng())

    assert made.weights is not None
    assert (made.weights[:, 0] > 0).sum(dim=1).tolist() == [4, 3, 4, 3, 4]


def test_a_class_of_one_row_is_copied() -> None:
    store = torch.randn(1, 5, generator=rng())
    mask = torch.tensor([[True] + [False] * (SAMPLES - 1)])
    drawn = DrawnFeatures(store, torch.zeros(1, SAMPLES, dtype=torch.long), mask, torch.tensor([0]))

    made = generator_of(5)(torch.tensor([0]), drawn, rng())

    assert torch.equal(made.features, store)


def test_the_weights_are_uniform_over_all_convex_weights() -> None:
    count = 20_000
    rows = torch.tensor([[0, 1, 2] + [0] * 5])
    mask = torch.tensor([[True] * 3 + [False] * 5])
    drawn = DrawnFeatures(torch.eye(3, 5), rows, mask, torch.zeros(count, dtype=torch.long))

    made = generator_of(2)(torch.zeros(count, dtype=torch.long), drawn, rng())

    assert made.weights is not None
    share = made.weights[:, 0, 0].sort().values  # of a uniform one, 1 - sqrt(1 - u) is the quantile
    wanted = 1 - (1 - (torch.arange(count) + 0.5) / count).sqrt()
    assert (share - wanted).abs().max() < 0.02
