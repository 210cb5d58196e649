import pytest
import torch

from fdmo_core.randomness import derive_seed, rng_for, seeded

POSITIONS: list[tuple[str | int, ...]] = [
    (),
    ("phase1",),
    ("phase1", 0),
    ("phase1", 1),
    ("phase1", 0, 0),
    ("phase1", 0, 1),
    ("phase1", 1, 0),
    ("phase1", "1", 0),
    ("phase1", 10),
    ("phase", 110),
    ("phase2", 1, 0),
]


def test_the_same_position_gives_the_same_seed() -> None:
    assert derive_seed(3, "phase1", 4, 5) == derive_seed(3, "phase1", 4, 5)


def test_every_position_and_every_run_has_a_seed_of_its_own() -> None:
    seeds = {derive_seed(seed, *position) for seed in range(50) for position in POSITIONS}

    assert len(seeds) == 50 * len(POSITIONS)


def test_seeds_are_known_numbers_so_that_old_runs_can_be_repeated() -> None:
    assert derive_seed(0) == 6197007067532723406
    assert derive_seed(0, "phase1", 1, 2) == 4889393275413371743
    assert derive_seed(7, "reservoir") == 2699307297314805568


def test_seeds_spread_over_the_whole_range_and_fit_into_int64() -> None:
    seeds = [derive_seed(0, "step", index) for index in range(1000)]

    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    assert sum(seeds) / 1000 == pytest.approx(2**62, rel=0.1)  # 5.5 standard deviations


def test_a_generator_draws_what_its_position_says() -> None:
    drawn = torch.randint(10**9, (3,), generator=rng_for(0, "phase2-draw", 3))

    assert drawn.tolist() == [764384599, 323713780, 794732454]


def test_a_generator_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()

    torch.rand(5, generator=rng_for(0, "anything"))

    assert torch.equal(torch.get_rng_state(), before)


def test_a_seeded_block_draws_the_same_whatever_was_drawn_before() -> None:
    drawn = []
    for before in (1, 2):
        torch.manual_seed(before)
        with seeded(0, "model-weights"):
            drawn.append(torch.rand(5))

    assert torch.equal(drawn[0], drawn[1])


def test_a_seeded_block_differs_by_position() -> None:
    with seeded(0, "model-weights", 0):
        first = torch.rand(5)
    with seeded(0, "model-weights", 1):
        second = torch.rand(5)

    assert not torch.equal(first, second)


def test_a_seeded_block_restores_the_global_state() -> None:
    before = torch.get_rng_state()

    with seeded(0, "model-weights"):
        torch.rand(5)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_seeded_block_restores_the_global_state_when_it_fails() -> None:
    before = torch.get_rng_state()

    with pytest.raises(ZeroDivisionError), seeded(0, "model-weights"):
        torch.rand(1 // 0)

    assert torch.equal(torch.get_rng_state(), before)
