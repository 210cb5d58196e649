from typing import Any

import pytest
from torch import Tensor

from fdmo_core import ConfigError
from fdmo_core.testing import Check, NotApplicable
from fdmo_core.testing.running import outcomes_of
from fdmo_core.testing.toys import ToyLoss, ToyLossConfig


class Raises(ToyLoss):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits[self.config.nowhere]


def check_passes(component: type[Any], config: Any) -> None:
    """It passes.

    And more that no report needs.
    """


def check_fails(component: type[Any], config: Any) -> None:
    """It fails."""
    raise AssertionError("It is wrong. Expected right. See fdmo_core.Loss.")


def check_does_not_apply(component: type[Any], config: Any) -> None:
    """It has a thing."""
    raise NotApplicable("There is no such thing.")


def check_asks(component: type[Any], config: Any) -> None:
    """It answers."""
    component(config, class_counts=None)(None, None)


def check_needs_a_root(component: type[Any], config: Any) -> None:
    """It has a root."""
    raise ConfigError("root is empty.")


def outcomes(*checks: Check, component: type[Any] = ToyLoss) -> list[tuple[str, str]]:
    return [(one.status, one.reason) for one in outcomes_of(component, {}, checks)]


def test_each_check_has_an_outcome_with_its_reason() -> None:
    assert outcomes(check_passes, check_fails, check_does_not_apply, check_passes) == [
        ("passed", ""),
        ("failed", "It is wrong. Expected right. See fdmo_core.Loss."),
        ("not applicable", "There is no such thing."),
        ("passed", ""),
    ]


def test_an_outcome_has_the_first_line_of_the_docstring_as_its_text() -> None:
    (outcome,) = outcomes_of(ToyLoss, {}, [check_passes])

    assert (outcome.check, outcome.text) == ("check_passes", "It passes.")
    assert 0 <= outcome.seconds < 1


def test_another_error_is_a_failure_with_its_place_in_the_component() -> None:
    _, (status, reason) = outcomes(check_passes, check_asks, component=Raises)

    assert status == "failed"
    assert reason.startswith("AttributeError: ")
    assert f"({__file__}, line 14). Expected no error." in reason


def test_after_a_failed_construction_nothing_else_is_asked() -> None:
    assert outcomes(check_needs_a_root, check_passes) == [
        (
            "failed",
            "root is empty. Pass the settings that it needs, each with --set key=value.",
        )
    ]


def test_a_refused_config_is_a_failed_construction() -> None:
    (outcome,) = outcomes_of(ToyLoss, {"gama": 1}, [check_passes, check_passes])

    assert outcome.status == "failed"
    assert outcome.reason.startswith("The config is refused: gama: Extra inputs are not permitted")
    assert outcome.reason.endswith("each with --set key=value.")


def test_an_error_that_is_shown_as_skipped_is_no_failure_of_a_test() -> None:
    with pytest.raises(NotApplicable, match="no such thing"):
        check_does_not_apply(ToyLoss, ToyLossConfig())
