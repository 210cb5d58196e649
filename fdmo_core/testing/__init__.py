"""What every component of a kind must do, as checks that plugin authors call in their own tests.

A check is a function of a component class and an instance of its config class. It returns nothing,
or raises an AssertionError that says what is wrong, what was expected and what to read::

    @pytest.mark.parametrize("check", checks_for("loss"))
    def test_keeps_to_the_contract_of_a_loss(check: Check) -> None:
        check(PolyLoss, PolyLossConfig(epsilon=2.0))

The first line of a check's docstring says in words what it asks for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fdmo_core.errors import ConfigError
from fdmo_core.kinds import KINDS
from fdmo_core.plugin_loading import LoadedComponent
from fdmo_core.registry import Registry
from fdmo_core.testing import (
    datasets,
    dictionaries,
    extractors,
    generators,
    landmark_heads,
    losses,
    rebalancers,
)
from fdmo_core.testing.expectations import Check

__all__ = ["Case", "Check", "cases_for", "checks_for"]

_CHECKS: Mapping[str, Sequence[Check]] = {
    "dataset": datasets.CHECKS,
    "extractor": extractors.CHECKS,
    "landmark-head": landmark_heads.CHECKS,
    "dictionary": dictionaries.CHECKS,
    "generator": generators.CHECKS,
    "loss": losses.CHECKS,
    "rebalancer": rebalancers.CHECKS,
}


@dataclass(frozen=True)
class Case:
    """One check of one registered component; its text fits as the ``ids`` of a parametrisation.

    Attributes:
        component: What the registry knows of it.
        check: The check.
        options: What its config changes; empty for the defaults.
    """

    component: LoadedComponent
    check: Check
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(self, **more: Any) -> None:
        """Call the check, with further options that were not known when the cases were listed."""
        options = {"name": self.component.name, **self.options, **more}
        config = self.component.component.config_class.model_validate(options)
        self.check(self.component.component, config)

    def __str__(self) -> str:
        changed = [f"{key}={value}" for key, value in self.options.items()]
        return "-".join([self.component.name, *changed, self.check.__name__])


def checks_for(kind: str) -> list[Check]:
    """Return the checks that every component of a kind passes.

    Args:
        kind: As ``fdmo plugins`` shows it, such as ``"landmark-head"``.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind not in _CHECKS:
        raise ConfigError(
            f"Unknown kind '{kind}'. Expected one of: {', '.join(_CHECKS)}. Use the kind that "
            f"'fdmo plugins' shows beside the component."
        )
    return list(_CHECKS[kind])


def cases_for(
    registry: Registry, kind: str, *, variants: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[Case]:
    """Return a case for each registered component of a kind, check and set of options.

    Args:
        registry: Whose components to check.
        kind: As in :func:`checks_for`.
        variants: Sets of options by component; a component that is not named has its defaults.

    Raises:
        ConfigError: There is no such kind.
    """
    checks = checks_for(kind)
    (wanted,) = (one for one in KINDS if one.name == kind)
    return [
        Case(component, check, options)
        for component in registry.components(wanted)
        for options in variants.get(component.name, [{}])
        for check in checks
    ]
