"""What all configuration has in common: it is data, complete, and cannot be changed."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

DecayRate = Annotated[float, Field(ge=0, lt=1)]
AdamBetas = tuple[DecayRate, DecayRate]


SettingsT = TypeVar("SettingsT", bound="Settings")


def read_settings(config_class: type[SettingsT], content: Mapping[str, Any]) -> SettingsT:
    """Return the settings that plain data holds, without turning one type into another.

    A string or a truth value is no number, and 3.0 is no whole number. The data passes as JSON, in
    whose terms a list is a tuple and 3 is a float.

    Args:
        config_class: What the data describes.
        content: As TOML has it.

    Raises:
        pydantic.ValidationError: Keys or values do not fit.
    """
    return config_class.model_validate_json(json.dumps(content, default=str), strict=True)


class Settings(BaseModel):
    """Base of every section: unknown keys are refused, and so are infinite numbers and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
