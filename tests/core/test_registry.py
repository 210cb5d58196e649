import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fdmo_core import interfaces
from fdmo_core.errors import UnknownComponentError
from fdmo_core.kinds import KIND_OF_INTERFACE
from fdmo_core.plugin_loading import LoadedPlugins, PluginFailure, load_plugins
from fdmo_core.registry import Registry
from fdmo_plugins import convexgan, losses
from fdmo_plugins.losses.focal import FocalLoss, FocalLossConfig

REGISTRY = Registry(load_plugins([convexgan, losses], installed=False))
Dataset: Any = interfaces.Dataset  # mypy asks for concrete classes where type[...] is expected
FeatureGenerator: Any = interfaces.FeatureGenerator
Loss: Any = interfaces.Loss
GENERATORS = "attention, convexgan, gamo"
LOSSES = (
    "balanced-softmax, class-balanced, cross-entropy, focal, ldam, logit-adjusted, squared-error"
)


def test_a_section_becomes_a_class_with_its_config() -> None:
    resolved = REGISTRY.resolve(Loss, {"name": "focal", "gamma": 1.5})

    assert resolved.component is FocalLoss
    assert resolved.config == FocalLossConfig(gamma=1.5)
    assert resolved.origin is REGISTRY.find("focal")


def test_options_are_checked_by_the_component_s_own_config() -> None:
    with pytest.raises(ValidationError, match="gama"):
        REGISTRY.resolve(Loss, {"name": "focal", "gama": 1.5})


def test_an_unknown_name_suggests_the_closest_one() -> None:
    with pytest.raises(UnknownComponentError) as caught:
        REGISTRY.resolve(Loss, {"name": "foccal"})

    assert str(caught.value) == (
        f"Unknown loss 'foccal'. Registered: {LOSSES}. Did you mean 'focal'? If a plugin supplies "
        f"it, check that 'fdmo plugins' lists that plugin."
    )


def test_a_name_without_a_neighbour_has_no_suggestion() -> None:
    with pytest.raises(UnknownComponentError) as caught:
        REGISTRY.resolve(Loss, {"name": "zzz"})

    assert "Did you mean" not in str(caught.value)


def test_a_name_of_another_kind_is_unknown_here() -> None:
    with pytest.raises(
        UnknownComponentError, match=rf"Unknown generator 'focal'\. Registered: {GENERATORS}"
    ):
        REGISTRY.resolve(FeatureGenerator, {"name": "focal"})


def test_a_kind_without_components_says_none() -> None:
    with pytest.raises(UnknownComponentError, match=r"Unknown dataset 'x'\. Registered: none\."):
        REGISTRY.resolve(Dataset, {"name": "x"})


def test_a_name_is_found_whatever_its_kind() -> None:
    assert REGISTRY.find("convexgan").kind is KIND_OF_INTERFACE[FeatureGenerator]
    with pytest.raises(UnknownComponentError, match=r"Unknown component 'lam'.*mean 'ldam'"):
        REGISTRY.find("lam")


def test_components_come_in_order_of_kind_and_name() -> None:
    assert [one.name for one in REGISTRY.components()] == [
        *GENERATORS.split(", "),
        *LOSSES.split(", "),
    ]
    assert [one.name for one in REGISTRY.components(KIND_OF_INTERFACE[Loss])] == LOSSES.split(", ")


def test_a_component_is_summed_up_by_its_docstring() -> None:
    assert REGISTRY.find("focal").summary == (
        "Cross-entropy scaled down where the true class is likely, in float32."
    )


def test_a_missing_component_comes_with_the_plugins_that_failed() -> None:
    failure = PluginFailure("poly", "fdmo-poly", "ImportError: no module named 'poly'")
    registry = Registry(LoadedPlugins({}, (failure,)))

    reason = re.escape(f" {failure}.")
    with pytest.raises(UnknownComponentError, match=f"lists that plugin.{reason}$"):
        registry.find("poly")
    with pytest.raises(UnknownComponentError, match=reason):
        registry.resolve(Loss, {"name": "poly"})


def noted(run: Path, **components: list[str]) -> Path:
    """Write what a run notes of its components: name, distribution, version by section."""
    keys = ("name", "distribution", "version")
    content = {section: dict(zip(keys, one, strict=True)) for section, one in components.items()}
    run.mkdir(exist_ok=True)
    (run / "environment.json").write_text(json.dumps({"components": content}))
    return run


def test_what_a_run_had_and_is_gone_comes_with_the_package_to_install(tmp_path: Path) -> None:
    run = noted(tmp_path, loss=["poly", "fdmo-poly", "0.1.0"])

    with pytest.raises(UnknownComponentError) as caught:
        REGISTRY.with_runs(run).resolve(Loss, {"name": "poly"})

    assert str(caught.value) == (
        f"Loss 'poly' is not here: {run} had it from fdmo-poly 0.1.0. Expected that plugin, "
        f"loaded. Install it: pip install fdmo-poly==0.1.0"
    )
    assert REGISTRY.with_runs(run).gone() == {"poly": str(caught.value)}
    assert REGISTRY.gone() == {}


def test_what_a_run_had_from_one_file_comes_with_the_option_to_give(tmp_path: Path) -> None:
    run = noted(tmp_path, loss=["poly", "poly.py", ""])

    assert (
        REGISTRY.with_runs(run)
        .gone()["poly"]
        .endswith(
            "had it from poly.py. Expected that plugin, loaded. Give the folder of that file with "
            "--plugins-dir"
        )
    )


def test_what_failed_to_load_is_said_as_well(tmp_path: Path) -> None:
    failure = PluginFailure("poly", "fdmo-poly", "ImportError: no 'x'", "0.2.0")
    run = noted(tmp_path, loss=["poly", "fdmo-poly", "0.1.0"])

    gone = Registry(LoadedPlugins({}, (failure,))).with_runs(run).gone()

    assert gone["poly"].endswith(f"pip install fdmo-poly==0.1.0. {failure}.")


def test_versions_that_differ_are_told_a_sentence_a_distribution(tmp_path: Path) -> None:
    run = noted(
        tmp_path,
        loss=["focal", "fdmo-old", "0.1.0"],
        generator=["gamo", "fdmo-old", "0.1.0"],
        rebalancer=["gone", "fdmo-old", "0.1.0"],
    )
    components = {
        name: replace(REGISTRY.find(name), distribution="fdmo-old", version="0.2.0")
        for name in ("focal", "gamo")
    }
    registry = Registry(LoadedPlugins(components))

    assert registry.with_runs(run).version_notices() == [
        f"loss 'focal' and generator 'gamo': {run} had fdmo-old 0.1.0, and here is fdmo-old 0.2.0."
    ]
    assert registry.version_notices() == []


@pytest.mark.parametrize("version", ["0.1.0", "9.9"])
def test_versions_of_fdmo_itself_are_left_to_its_format_number(
    tmp_path: Path, version: str
) -> None:
    run = noted(tmp_path, loss=["focal", "fdmo", version])
    registry = Registry(
        LoadedPlugins({"focal": replace(REGISTRY.find("focal"), distribution="fdmo")})
    )

    assert registry.with_runs(run).version_notices() == []
