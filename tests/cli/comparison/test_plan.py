"""From the command line to cells and shared phases 1."""

from pathlib import Path
from typing import Any

import pytest

from fdmo_cli.comparison.methods import Method
from fdmo_cli.comparison.plan import Start, plan_cells, plan_spaces, with_budget
from fdmo_core.registry import Registry

RETRAINED = Method("real-only", ("rebalancer.name=adversarial", "rebalancer.artificial=false"))
RANDOM = Method("random", ("rebalancer.name=adversarial", "generator.name=random"))
CROSSED = Method("crossed", (*RANDOM.settings, "crossfit.dictionary=true"))
BALANCED = Method("balanced", RETRAINED.settings, family="balanced")


@pytest.fixture
def start(registry: Registry) -> Start:
    settings = ("generator.noise_dim=7", "rebalancer.epochs=3", "phase1.epochs=2")
    return Start({}, (), None, settings, registry)


def config(run: Any, section: str) -> dict[str, Any]:
    found: dict[str, Any] = run.as_dict()[section]
    return found


def test_an_option_goes_where_it_fits(start: Start) -> None:
    default, random = start.run(0), start.run(0, RANDOM.settings)

    assert config(default, "generator")["noise_dim"] == 7
    assert "noise_dim" not in config(random, "generator")
    assert config(random, "phase1")["epochs"] == 2


def test_methods_of_one_family_and_seed_share_a_phase_1(start: Start, tmp_path: Path) -> None:
    cells = plan_cells([RETRAINED, RANDOM, BALANCED], [4, 5], start, tmp_path, tuned={})

    spaces = plan_spaces(cells, start, tmp_path)

    assert [one.cell.folder.name for one in spaces] == [
        *("plain-4", "balanced-4", "plain-5", "balanced-5")
    ]
    strengths = [config(one.cell.run, "phase1")["prior_strength"] for one in spaces]
    assert strengths == [0, 1, 0, 1]
    assert [one.cell.run.core.seed for one in spaces] == [4, 4, 5, 5]


def test_a_phase_1_is_cross_fitted_if_one_of_its_methods_needs_it(
    start: Start, tmp_path: Path
) -> None:
    for methods, expected in (([RETRAINED, RANDOM], False), ([RETRAINED, CROSSED], True)):
        cells = plan_cells(methods, [0], start, tmp_path, tuned={})
        (space,) = plan_spaces(cells, start, tmp_path)
        assert space.out_of_fold is expected


def test_tuned_settings_come_last(start: Start, tmp_path: Path) -> None:
    tuned = {"random": ["rebalancer.learning_rate=0.25"]}

    cells = plan_cells([RETRAINED, RANDOM], [0], start, tmp_path, tuned=tuned)

    rates = [config(one.cell.run, "rebalancer")["learning_rate"] for one in cells]
    assert rates == [0.001, 0.25]


def test_what_is_not_installed_is_left_out_with_the_reason(start: Start) -> None:
    unknown = Method("unknown", ("rebalancer.name=nonsense",))

    kept, left_out = with_budget([RANDOM, unknown], start)

    assert [one.name for one in kept] == ["random"]
    assert "Unknown rebalancer 'nonsense'" in left_out["unknown"]


def test_all_methods_have_the_budget_of_the_configured_rebalancer(start: Start) -> None:
    kept, _ = with_budget([RETRAINED, RANDOM], start)

    for method in kept:
        options = config(start.run(0, method.settings), "rebalancer")
        assert (options["epochs"], options["batch_size"]) == (3, 256)
