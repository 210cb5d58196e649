"""Phase 1: train the streams, the landmark head and both classifiers on images."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from fdmo_core.augmentation import AugmentationConfig, augment
from fdmo_core.batches import Batch, Batches, scale_pixels
from fdmo_core.errors import ConfigError
from fdmo_core.journal import Journal
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.settings import AdamBetas, Settings


class Phase1Config(Settings):
    """How phase 1 trains."""

    shape_epochs: int = Field(
        default=3, ge=0, description="Epochs of the shape stream alone, before all (Sec. IV-B)."
    )
    epochs: int = Field(default=15, ge=0, description="Epochs of the whole network (Sec. IV-B).")
    batch_size: int = Field(default=64, ge=1, description="Images a step.")
    shape_learning_rate: float = Field(
        default=2e-3, gt=0, description="Adam's rate while the shape stream trains alone."
    )
    learning_rate: float = Field(
        default=2e-3, gt=0, description="Adam's rate while the whole network trains."
    )
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine",
        description="How the rate of the whole network goes on: down to 0, or unchanged.",
    )
    betas: AdamBetas = Field(default=(0.9, 0.999), description="Adam's decay rates (Sec. IV-B).")
    auxiliary_weight: float = Field(
        default=1.0, ge=0, description="Weight of the auxiliary classifier's loss."
    )

    @model_validator(mode="after")
    def _trains(self) -> "Phase1Config":
        if self.epochs == 0 and self.shape_epochs == 0:
            raise ValueError("epochs and shape_epochs are both 0; set at least one of them to 1")
        return self


class Phase1State(NamedTuple):
    """All that phase 1 changes; a checkpoint holds it.

    Attributes:
        model: The network.
        optimizer: Over all parameters that are not frozen.
    """

    model: TwoStreamClassifier
    optimizer: torch.optim.Adam


def require_shape_target(config: Phase1Config, *, has_target: bool) -> None:
    """Raise a ConfigError if the shape stream should train alone with nothing to learn from."""
    if config.shape_epochs > 0 and not has_target:
        raise ConfigError(
            f"phase1.shape_epochs is {config.shape_epochs}, but the shape stream has neither "
            f"landmarks nor an auxiliary classifier to learn from. Expected one of them. Set "
            f"phase1.shape_epochs = 0 or model.auxiliary_classifier = true."
        )


def start_phase1(model: TwoStreamClassifier, config: Phase1Config) -> Phase1State:
    """Return the state before the first epoch."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Phase1State(
        model, torch.optim.Adam(parameters, lr=config.learning_rate, betas=config.betas, fused=True)
    )


def train_phase1(
    state: Phase1State,
    batches: Batches,
    config: Phase1Config,
    *,
    augmentation: AugmentationConfig,
    mirrored_landmarks: tuple[tuple[int, int], ...],
    seed: int,
    device: torch.device,
    journal: Journal,
    first_epoch: int = 0,
    after_epoch: Callable[[int], None] = lambda _: None,
) -> None:
    """Train the shape stream alone, then the whole network.

    Source: Sec. III-B for the losses, Sec. IV-B for the order.

    Args:
        state: Changed in place.
        batches: Of the training split.
        config: Epochs, rates and weights.
        augmentation: How far images may be changed.
        mirrored_landmarks: Pairs of landmarks that a mirror exchanges.
        seed: Of the run.
        device: Where the network is.
        journal: Told every step.
        first_epoch: Where to go on; the state must be what it was after the epoch before.
        after_epoch: Called with the number of epochs done.
    """
    model, optimizer = state
    model.train()
    for epoch in range(first_epoch, config.shape_epochs + config.epochs):
        is_shape_only = epoch < config.shape_epochs
        order = batches.shuffled(config.batch_size, rng_for(seed, "phase1-order", epoch))
        num_steps = math.ceil(len(batches) / config.batch_size)
        for step, batch in enumerate(order):
            set_learning_rate(optimizer, learning_rate(config, epoch, step / num_steps))
            batch = batch.to(device)
            images, landmarks = augment(
                scale_pixels(batch.images),
                batch.landmarks,
                augmentation,
                mirrored_landmarks=mirrored_landmarks,
                rng=rng_for(seed, "phase1-augment", epoch, step),
            )
            with seeded(seed, "phase1-step", epoch, step):
                losses = phase1_losses(
                    model,
                    batch._replace(landmarks=landmarks),
                    images,
                    config,
                    is_shape_only=is_shape_only,
                )
            total = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            optimizer.step()
            terms = torch.stack([total.detach(), *(loss.detach() for loss in losses.values())])
            journal.step(
                "phase1",
                epoch * num_steps + step,
                (config.shape_epochs + config.epochs) * num_steps,
                dict(zip(("sum", *losses), terms.tolist(), strict=True)),
            )
        after_epoch(epoch + 1)


def learning_rate(config: Phase1Config, epoch: int, share: float) -> float:
    """Return Adam's rate at a point of phase 1.

    Args:
        config: Rates and schedule.
        epoch: From 0.
        share: How much of the epoch has passed, in [0, 1).
    """
    if epoch < config.shape_epochs:
        return config.shape_learning_rate
    if config.schedule == "constant":
        return config.learning_rate
    progress = (epoch - config.shape_epochs + share) / config.epochs
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def phase1_losses(
    model: TwoStreamClassifier,
    batch: Batch,
    images: Tensor,
    config: Phase1Config,
    *,
    is_shape_only: bool,
) -> dict[str, Tensor]:
    """Return the terms of phase 1 by name, weighted; each has shape ``()``.

    Source: Sec. III-B: cross-entropy of both classifiers, Eq. (1) and visibility. The paper gives
    no weights; they are 1 by default.

    Args:
        model: In training mode.
        batch: Labels and landmarks.
        images: The changed images in [0, 1]. Shape ``(B, 3, H, W)``, float32.
        config: Weights.
        is_shape_only: Whether to leave the texture stream and the main classifier out.
    """
    losses: dict[str, Tensor] = {}
    if is_shape_only:
        shape_stream = model.shape_stream(images)
    else:
        outputs = model(images)
        shape_stream = outputs.shape_stream
        losses["main"] = F.cross_entropy(outputs.logits, batch.labels)
    if shape_stream.auxiliary_logits is not None:
        auxiliary = F.cross_entropy(shape_stream.auxiliary_logits, batch.labels)
        losses["auxiliary"] = config.auxiliary_weight * auxiliary
    if model.landmark_head is not None and shape_stream.landmarks is not None:
        losses |= model.landmark_head.losses(shape_stream.landmarks, batch.landmarks)
    return losses
