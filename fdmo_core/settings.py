"""What all configuration has in common: it is data, complete, and cannot be changed."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

DecayRate = Annotated[float, Field(ge=0, lt=1)]
AdamBetas = tuple[DecayRate, DecayRate]


class Settings(BaseModel):
    """Base of every section: unknown keys are refused, and so are infinite numbers and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
