"""Each method beside the baseline: paired over seeds and over test images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from fdmo_cli.comparison.cells import PREDICTIONS_FILE
from fdmo_cli.comparison.findings import Against, Gain
from fdmo_cli.comparison.plan import Planned
from fdmo_core.comparison.differences import compare_pair
from fdmo_core.comparison.holm import holm
from fdmo_core.comparison.paired_bootstrap import METRICS as PAIRED_METRICS
from fdmo_core.comparison.paired_bootstrap import resample_metrics, resample_seeds
from fdmo_core.comparison.pairs import Correct, Labels, Pair, mcnemar
from fdmo_core.comparison.verdicts import explain, judge
from fdmo_core.errors import DataError
from fdmo_core.estimates import over_runs
from fdmo_core.intervals import percentile_interval
from fdmo_core.metrics import MetricsConfig

Cells = Mapping[str, Mapping[int, Planned]]  # the finished ones, by method and seed


@dataclass(frozen=True)
class Scores:
    """What one cell says of the test images."""

    correct: Correct
    labels: Labels


def compare_with(
    baseline: str,
    cells: Cells,
    class_names: Sequence[str],
    *,
    same_images: bool,
    config: MetricsConfig,
) -> dict[str, Against]:
    """Return each method beside the baseline; one that shares no finished seed is left out.

    Args:
        baseline: Name of a method with a finished cell.
        cells: All finished ones.
        class_names: In label order.
        same_images: Whether all seeds are tested on the same images.
        config: Confidence and number of resampled test sets.

    Raises:
        DataError: Two methods were tested on other images with one seed.
    """
    scores = {
        name: {seed: _scores(one) for seed, one in of_method.items()}
        for name, of_method in cells.items()
    }
    shared = {
        name: seeds
        for name, of_method in cells.items()
        if name != baseline and (seeds := tuple(one for one in of_method if one in cells[baseline]))
    }
    pairs = {
        name: _pair(scores[name], scores[baseline], seeds, len(class_names), same_images)
        for name, seeds in shared.items()
    }
    differences = {name: compare_pair(pair) for name, pair in pairs.items()}
    p_values = [one.p_value for one in differences.values()]
    mcnemars = [mcnemar(pair) for pair in pairs.values()]
    resampled = _resample(scores, same_images, config)
    against = {}
    for (name, difference), p_value, p_holm, flips, flips_holm in zip(
        differences.items(), p_values, holm(p_values), mcnemars, holm(mcnemars), strict=True
    ):
        verdict = judge(difference, p_value=p_holm)
        against[name] = Against(
            seeds=shared[name],
            gains=_gains(name, baseline, shared[name], cells, resampled, config),
            p_value=p_value,
            p_holm=p_holm,
            mcnemar=flips,
            mcnemar_holm=flips_holm,
            verdict=verdict,
            explanation=explain(difference, verdict, class_names, comparisons=len(pairs)),
        )
    return against


def _pair(
    ours: Mapping[int, Scores],
    theirs: Mapping[int, Scores],
    seeds: Sequence[int],
    num_classes: int,
    same_images: bool,
) -> Pair:
    for seed in seeds:
        if not np.array_equal(ours[seed].labels, theirs[seed].labels):
            raise DataError(
                f"Two methods were tested on other images with seed {seed}. Expected the same. "
                f"Remove the folder 'cells' and start again."
            )
    return Pair(
        ours=[ours[seed].correct for seed in seeds],
        theirs=[theirs[seed].correct for seed in seeds],
        labels=[theirs[seed].labels for seed in seeds],
        num_classes=num_classes,
        same_images=same_images,
    )


Resampled = Mapping[str, Mapping[tuple[str, int], NDArray[np.float64]]]  # metric, cell: (R,)


def _resample(
    scores: Mapping[str, Mapping[int, Scores]], same_images: bool, config: MetricsConfig
) -> Resampled:
    """Return the metrics of all cells on the same resampled test sets."""
    keys = [(name, seed) for name, of_method in scores.items() for seed in of_method]
    seeds = sorted({seed for _, seed in keys})
    groups = [keys] if same_images else [[key for key in keys if key[1] == one] for one in seeds]
    found: dict[str, dict[tuple[str, int], NDArray[np.float64]]] = {
        one: {} for one in PAIRED_METRICS
    }
    for group in groups:
        name, seed = group[0]
        drawn = resample_metrics(
            np.stack([scores[name][seed].correct for name, seed in group]),
            scores[name][seed].labels,
            samples=config.bootstrap_samples,
            rng=np.random.default_rng(seed if not same_images else 0),
        )
        for metric, values in drawn.items():
            found[metric] |= dict(zip(group, values.T, strict=True))
    return found


def _gains(
    name: str,
    baseline: str,
    seeds: Sequence[int],
    cells: Cells,
    resampled: Resampled,
    config: MetricsConfig,
) -> dict[str, Gain]:
    gains = {}
    for metric in PAIRED_METRICS:
        differences = [
            measured(cells[name][seed], metric) - measured(cells[baseline][seed], metric)
            for seed in seeds
        ]
        student = over_runs(differences, confidence=config.confidence) if len(seeds) > 1 else None
        drawn = np.stack(
            [resampled[metric][name, seed] - resampled[metric][baseline, seed] for seed in seeds],
            axis=1,
        )
        low, high = percentile_interval(
            resample_seeds(drawn, np.random.default_rng(0)), confidence=config.confidence
        )
        gains[metric] = Gain(
            mean=float(np.mean(differences)),
            low=None if student is None else student.low,
            high=None if student is None else student.high,
            bootstrap_low=low,
            bootstrap_high=high,
        )
    return gains


def _scores(one: Planned) -> Scores:
    tensors = load_file(one.cell.folder / PREDICTIONS_FILE)
    labels = tensors["test.labels"].astype(np.int64)
    return Scores(tensors["test.predictions"] == tensors["test.labels"], labels)


def measured(one: Planned, metric: str) -> float:
    """Return a metric of a finished cell on the test split."""
    return float(one.cell.metrics()["test"]["after"][metric])
