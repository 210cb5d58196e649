"""What every component of a kind must do, as checks that plugin authors call in their own tests.

A check is a function of a component class and an instance of its config class. It returns nothing,
or raises an AssertionError that says what is wrong, what was expected and what to read, or
:class:`NotApplicable`, which a test shows as skipped::

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
    dictionary_classes,
    extractors,
    generators,
    landmark_heads,
    losses,
    rebalancers,
)
from fdmo_core.testing.batch_independence import check_each_sample_is_on_its_own
from fdmo_core.testing.devices import check_does_the_same_on_cuda
from fdmo_core.testing.expectations import Check, NotApplicable
from fdmo_core.testing.export import (
    check_ends_with_a_classifier_that_is_kept,
    check_is_the_same_in_onnxruntime,
)
from fdmo_core.testing.importing import check_is_imported_without_side_effects
from fdmo_core.testing.precision import check_stays_finite_in_bf16
from fdmo_core.testing.state import check_comes_back_from_a_checkpoint
from fdmo_core.testing.workers import check_is_read_by_a_spawned_worker

__all__ = ["Case", "Check", "NotApplicable", "cases_for", "checks_for"]

_IN_THE_GRAPH: Sequence[Check] = (
    check_each_sample_is_on_its_own,
    check_is_the_same_in_onnxruntime,
)
_LEARNED_IN_PHASE_1: Sequence[Check] = (
    *_IN_THE_GRAPH,
    check_comes_back_from_a_checkpoint,
    check_stays_finite_in_bf16,
)

_CHECKS: Mapping[str, Sequence[Check]] = {
    "dataset": (*datasets.CHECKS, check_is_read_by_a_spawned_worker),
    "extractor": (*extractors.CHECKS, *_LEARNED_IN_PHASE_1, check_does_the_same_on_cuda),
    "landmark-head": (*landmark_heads.CHECKS, *_LEARNED_IN_PHASE_1, check_does_the_same_on_cuda),
    "dictionary": (*dictionaries.CHECKS, *dictionary_classes.CHECKS, check_does_the_same_on_cuda),
    "generator": (*generators.CHECKS, *_IN_THE_GRAPH, check_does_the_same_on_cuda),
    "loss": (*losses.CHECKS, check_comes_back_from_a_checkpoint, check_does_the_same_on_cuda),
    "rebalancer": (
        *rebalancers.CHECKS,
        check_each_sample_is_on_its_own,
        check_ends_with_a_classifier_that_is_kept,
        check_does_the_same_on_cuda,
    ),
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
    return [*_CHECKS[kind], check_is_imported_without_side_effects]


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
