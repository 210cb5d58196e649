"""Where and how a run computes: device, precision, compilation, and its share of the work."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field

from fdmo_core.settings import Settings
from fdmo_core.world import World

BatchT = TypeVar("BatchT", bound=tuple[torch.Tensor, ...])


class ComputeConfig(Settings):
    """How phase 1 and the extraction of features compute; phase 2 always uses fp32."""

    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="Of convolutions and products by autocast; weights and losses stay in fp32.",
    )
    deterministic: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Only operations that repeat themselves bit for bit; auto: on a CPU.",
    )
    compile: bool = Field(
        default=False,
        description="Compile phase 1's step with torch.compile; needs a C++ compiler.",
    )


@dataclass(frozen=True)
class Compute:
    """What the engine hands on to whoever computes.

    Attributes:
        device: Where tensors go.
        config: Precision and compilation.
        world: The processes that share the run.
    """

    device: torch.device
    config: ComputeConfig = field(default_factory=ComputeConfig)
    world: World = field(default_factory=World)

    @property
    def is_deterministic(self) -> bool:
        """Whether only operations are wanted that repeat themselves bit for bit."""
        wanted = self.config.deterministic
        return wanted == "on" or (wanted == "auto" and self.device.type == "cpu")

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which convolutions and products use the configured precision."""
        reduced = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.config.precision)
        return torch.autocast(self.device.type, dtype=reduced, enabled=reduced is not None)

    def gradient_scaler(self) -> torch.amp.GradScaler:
        """Return a scaler that keeps fp16's slopes from vanishing; it does nothing otherwise."""
        return torch.amp.GradScaler(self.device.type, enabled=self.config.precision == "fp16")

    def pinned(self, batch: BatchT) -> BatchT:
        """Return a named tuple of tensors in pinned memory where the device is a GPU.

        From there they reach it while it computes.
        """
        if self.device.type != "cuda":
            return batch
        return type(batch)(*(column.pin_memory() for column in batch))

    def compiled(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return the step, compiled where the configuration asks for it."""
        return torch.compile(step) if self.config.compile else step
