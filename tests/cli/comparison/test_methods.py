"""Which methods there are, and what names them."""

import pytest

from fdmo_cli.comparison.methods import (
    FAMILIES,
    all_methods,
    choose_baseline,
    choose_methods,
    parse_sweep,
)
from fdmo_core.errors import ConfigError
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.registry import Registry


def test_every_installed_generator_loss_and_rebalancer_is_in_a_method(registry: Registry) -> None:
    settings = {one for method in all_methods(registry).values() for one in method.settings}

    for section in ("generator", "loss", "rebalancer"):
        for component in registry.components(KIND_OF_SECTION[section]):
            assert f"{section}.name={component.name}" in settings


def test_names_are_those_of_files_and_families_are_known(registry: Registry) -> None:
    for name, method in all_methods(registry).items():
        assert name == method.name
        assert not set(name) & set(" /\\@,")
        assert method.family in FAMILIES


def test_methods_come_in_the_order_in_which_they_are_named_and_once(registry: Registry) -> None:
    chosen = choose_methods("random, none,random", registry)

    assert [one.name for one in chosen] == ["random", "none"]


def test_the_baseline_is_the_strongest_simple_method_that_is_there() -> None:
    assert choose_baseline(None, ["none", "logit-adjustment-out-of-fold", "crt"]) == (
        "logit-adjustment-out-of-fold"
    )
    assert choose_baseline(None, ["crt", "none"]) == "none"
    assert choose_baseline(None, ["crt", "smote"]) == "crt"
    assert choose_baseline("smote", ["crt", "smote"]) == "smote"


def test_a_sweep_is_a_setting_with_several_values() -> None:
    assert parse_sweep("rebalancer.samples_per_class=10, 50") == (
        "rebalancer.samples_per_class",
        ["10", "50"],
    )


@pytest.mark.parametrize("wrong", ["seed=1,2", "loss.gamma", "loss.gamma=", "loss.gamma=1"])
def test_what_is_no_sweep_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(ConfigError, match="For instance: --sweep rebalancer"):
        parse_sweep(wrong)
