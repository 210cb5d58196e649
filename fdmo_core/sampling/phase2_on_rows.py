"""Phase 2 on rows in memory: the components by their names, a dictionary of all rows, the loop."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch

from fdmo_core.classifier import LinearClassifier
from fdmo_core.config import Run, resolve_run
from fdmo_core.errors import TrainingError
from fdmo_core.interfaces import (
    FeatureBatch,
    FeatureDictionary,
    HeldOut,
    HeldOutSource,
    LabelledFeatures,
    Rebalancer,
)
from fdmo_core.journal import Journal
from fdmo_core.phase2 import start_phase2, train_phase2
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry


@cache
def installed_components() -> Registry:
    """Return the components of the installed plugins, which are loaded once in a process."""
    return Registry(load_plugins())


def section(name: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a component's section of a configuration.

    Args:
        name: Of the component.
        options: Its settings; a number may be one of numpy's, as a grid search gives it.
    """
    plain = {
        key: one.item() if isinstance(one, np.generic) else one
        for key, one in (options or {}).items()
    }
    return {"name": name, **plain}


def describe_run(
    *, seed: int, rebalancer: dict[str, Any], generator: dict[str, Any], loss: dict[str, Any]
) -> Run:
    """Return the configuration of phase 2; its dictionary holds every row of every class.

    Raises:
        ConfigError: A name or a setting is wrong; a line for each.
    """
    sections = {
        "seed": seed,
        "dictionary": {"name": "memory", "max_per_class": torch.iinfo(torch.int64).max},
        "rebalancer": rebalancer,
        "generator": generator,
        "loss": loss,
    }
    return resolve_run(sections, installed_components())


def hold(
    run: Run, rows: LabelledFeatures, num_classes: int, *, device: torch.device
) -> FeatureDictionary:
    """Return a dictionary of the rows, whose sources are the rows' numbers.

    Args:
        run: Of :func:`describe_run`.
        rows: On the CPU.
        num_classes: C.
        device: Where the dictionary gives features.
    """
    dictionary = run.dictionary.component(
        run.dictionary.config,
        num_classes=num_classes,
        stream_dims=(rows.features.shape[1],),
        seed=run.core.seed,
    )
    dictionary.build([FeatureBatch(*rows, torch.arange(len(rows.labels)))])
    dictionary.to(device)
    return dictionary


def no_held_out(source: HeldOutSource) -> HeldOut:
    """Stand in for held-out rows where no rebalancer asks for them."""
    raise AssertionError(f"no {source} rows were made")


def rebalance_rows(
    run: Run,
    dictionary: FeatureDictionary,
    head: LinearClassifier,
    *,
    held_out: Callable[[HeldOutSource], HeldOut] = no_held_out,
) -> Rebalancer:
    """Return the configured rebalancer after its last step.

    Args:
        run: Of :func:`describe_run`.
        dictionary: Of :func:`hold`.
        head: What phase 1 trained, on the dictionary's device; it stays as it is.
        held_out: See :class:`Phase2Parts`.

    Raises:
        TrainingError: A loss or a weight became infinite or NaN.
    """
    rebalancer = start_phase2(
        run,
        classifier=head,
        dictionary=dictionary,
        class_counts=dictionary.class_sizes,
        held_out=held_out,
        device=head.weight.device,
    )
    train_phase2(rebalancer, seed=run.core.seed, journal=Journal())
    if not all(parameter.isfinite().all() for parameter in rebalancer.parameters()):
        raise TrainingError(
            "The last step of phase 2 led to weights that are not finite. Expected finite numbers. "
            "Scale the features, for instance by StandardScaler, or lower the learning rate in the "
            "options of generator and rebalancer."
        )
    return rebalancer
