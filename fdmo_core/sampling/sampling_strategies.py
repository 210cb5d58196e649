"""What imbalanced-learn lets pass in a ``sampling_strategy`` and stumbles over later."""

from collections.abc import Mapping
from typing import Any

from fdmo_core.errors import ConfigError


def require_mapping(sampling_strategy: Any, labels: Any) -> None:
    """Refuse a callable that does not return a mapping; all else passes.

    Args:
        sampling_strategy: Of a sampler.
        labels: What the callable is given. Shape ``(N,)``.

    Raises:
        ConfigError: The callable returns something else.
    """
    if not callable(sampling_strategy):
        return
    asked = sampling_strategy(labels)
    if not isinstance(asked, Mapping):
        raise ConfigError(
            f"The callable sampling_strategy returned a {type(asked).__name__}. Expected a dict "
            f"from labels to numbers of rows. Return one."
        )


def whole_number(rows: Any) -> int:
    """Return how many rows are asked for.

    Raises:
        ConfigError: It is no whole number.
    """
    if rows != int(rows):
        raise ConfigError(
            f"sampling_strategy asks for {rows} more rows of a class. Expected a whole number. "
            f"Round it."
        )
    return int(rows)
