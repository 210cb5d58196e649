"""Phase 1: train the streams, the landmark head and both classifiers on images."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from fdmo_core.checkpoint import Position
from fdmo_core.component_errors import during
from fdmo_core.compute import Compute
from fdmo_core.epoch_order import Sampling, epoch_rows
from fdmo_core.errors import ConfigError
from fdmo_core.imbalance import log_priors
from fdmo_core.interfaces import LandmarkHead
from fdmo_core.journal import Journal
from fdmo_core.maps import Maps
from fdmo_core.network import Network
from fdmo_core.nonfinite import NumberGuard
from fdmo_core.phase1_descent import GuardedDescent, Seen
from fdmo_core.phase1_network import Predictions, join_predictions, phase1_network
from fdmo_core.pull import pull_maps
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.settings import AdamBetas, Settings
from fdmo_core.sync_batch_norm import synchronise_batch_norm


class Phase1Config(Settings):
    """How phase 1 trains."""

    shape_epochs: int = Field(
        default=3, ge=0, description="Epochs of the shape stream alone, before all (Sec. IV-B)."
    )
    epochs: int = Field(default=15, ge=0, description="Epochs of the whole network (Sec. IV-B).")
    batch_size: int = Field(
        default=64, ge=1, description="Images a step, shared by all processes of the run."
    )
    sampling: Sampling = Field(
        default="natural",
        description="Every image once an epoch, or classes drawn with equal chances.",
    )
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
    prior_strength: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the log class priors that are added to the main classifier's scores "
        "in its loss; 1 is balanced softmax (Ren et al. 2020).",
    )
    pull: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Largest share of an image's maps that a mixture of others replaces; 0.6 in "
        "the recommended method.",
    )
    pull_partners: int = Field(default=3, ge=1, description="How many others are in a mixture.")

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
        scaler: Of the slopes, where fp16 is used.
    """

    model: Network
    optimizer: torch.optim.Adam
    scaler: torch.amp.GradScaler


def require_shape_target(config: Phase1Config, *, has_target: bool) -> None:
    """Raise a ConfigError if the shape stream should train alone with nothing to learn from."""
    if config.shape_epochs > 0 and not has_target:
        raise ConfigError(
            f"phase1.shape_epochs is {config.shape_epochs}, but the shape stream has neither "
            f"landmarks nor an auxiliary classifier to learn from. Expected one of them. Set "
            f"phase1.shape_epochs = 0 or model.auxiliary_classifier = true."
        )


def require_epochs(config: Phase1Config) -> None:
    """Raise a ConfigError if the main classifier alone should train for no epoch at all."""
    if config.epochs == 0:
        raise ConfigError(
            "phase1.epochs is 0, and data that are features have no shape stream: phase 1 would "
            "train nothing. Expected at least 1 epoch for the main classifier. Set phase1.epochs."
        )


def as_it_applies(config: Phase1Config, model: Network) -> Phase1Config:
    """Return the settings as they apply to a network: no shape stream, no epoch of it alone."""
    return config.model_copy(update={"shape_epochs": 0}) if model.input_dim else config


def start_phase1(model: Network, config: Phase1Config, compute: Compute) -> Phase1State:
    """Return the state before the first epoch."""
    synchronise_batch_norm(model, compute.world, compute.device)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(
        parameters, lr=config.learning_rate, betas=config.betas, fused=True
    )
    return Phase1State(model, optimizer, compute.gradient_scaler())


def train_phase1(
    state: Phase1State,
    maps: Maps,
    config: Phase1Config,
    *,
    seed: int,
    compute: Compute,
    journal: Journal,
    rows: Tensor | None = None,
    phase: str = "phase1",
    first_step: int = 0,
    after_step: Callable[[Position], None] = lambda _: None,
    guard: NumberGuard | None = None,
) -> None:
    """Train the shape stream alone, then the whole network.

    Source: Sec. III-B for the losses, Sec. IV-B for the order.

    Args:
        state: Changed in place.
        maps: Of the training split.
        config: Epochs, rates and weights.
        seed: Of the run.
        compute: Device, precision and processes.
        journal: Told every step.
        rows: Images to learn from, None for all of the split. Shape ``(N',)``, int64.
        phase: What the journal calls it.
        first_step: Where to go on; the state must be what it was after the step before.
        after_step: Called with how far the phase has come.
        guard: Asked what to do with numbers that are not finite; None stops.
    """
    model, optimizer, _ = state
    descent = GuardedDescent(*state, guard or NumberGuard(phase, journal=journal))
    config = as_it_applies(config, model)
    chosen = torch.arange(len(maps)) if rows is None else rows
    labels = maps.labels[chosen]
    log_prior = log_priors(labels.bincount(minlength=model.num_classes)).to(compute.device)
    losses_of = partial(
        phase1_losses, landmark_head=model.landmark_head, config=config, log_prior=log_prior
    )
    model.train()
    num_epochs = config.shape_epochs + config.epochs
    steps_an_epoch = -(-len(chosen) // config.batch_size)
    first_epoch, skipped = divmod(first_step, steps_an_epoch)
    for epoch in range(first_epoch, num_epochs):
        is_shape_only = epoch < config.shape_epochs
        if epoch in (first_epoch, config.shape_epochs):
            network = phase1_network(model, compute, is_shape_only=is_shape_only)
        order = epoch_rows(labels, config.sampling, rng_for(seed, "phase1-order", epoch))
        steps = chosen[order].split(config.batch_size)
        first = skipped if epoch == first_epoch else 0
        batches = maps.training(steps, seed=seed, epoch=epoch, first=first)
        for step, batch in enumerate(batches, first):
            set_learning_rate(optimizer, learning_rate(config, epoch, step / len(steps)))
            inputs = _pulled(batch.maps, config, rng_for(seed, "phase1-pull", epoch, step))
            index = epoch * steps_an_epoch + step
            descent.begin_step()
            with during(f"step {index} of {phase}"), seeded(seed, "phase1-step", epoch, step):
                with compute.autocast():
                    found = network(inputs)
                joined = join_predictions(found, batch, len(steps[step]), compute.world)
                losses = losses_of(*joined)
            terms = descent.step(
                index, losses, Seen(inputs, *joined, steps[step], losses_of, compute.world)
            )
            if terms is not None:
                journal.step(phase, index, num_epochs * steps_an_epoch, terms)
            after_step(Position(index + 1, num_epochs * steps_an_epoch))


def _pulled(maps: Tensor, config: Phase1Config, rng: torch.Generator) -> Tensor:
    """Return maps pulled towards others, where phase 1 asks for it.

    With several processes, each mixes within its own share of a batch.
    """
    if config.pull == 0:
        return maps
    return pull_maps(maps, largest=config.pull, partners=config.pull_partners, rng=rng)


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
    found: Predictions,
    labels: Tensor,
    landmarks: Tensor,
    landmark_head: LandmarkHead | None,
    config: Phase1Config,
    *,
    log_prior: Tensor,
) -> dict[str, Tensor]:
    """Return the terms of phase 1 by name, weighted; each has shape ``()``.

    Source: Sec. III-B: cross-entropy of both classifiers, Eq. (1) and visibility. The paper gives
    no weights; they are 1 by default.

    Args:
        found: What the network says of a batch.
        labels: Shape ``(B,)``, int64.
        landmarks: Shape ``(B, K, 3)``, float32.
        landmark_head: Scores its own predictions.
        config: Weights.
        log_prior: Of each class. Shape ``(C,)``, float32.
    """
    losses: dict[str, Tensor] = {}
    if found.main is not None:
        adjusted = found.main + config.prior_strength * log_prior
        losses["main"] = F.cross_entropy(adjusted, labels)
    if found.auxiliary is not None:
        losses["auxiliary"] = config.auxiliary_weight * F.cross_entropy(found.auxiliary, labels)
    if landmark_head is not None and found.landmarks is not None:
        losses |= landmark_head.losses(found.landmarks, landmarks)
    return losses
