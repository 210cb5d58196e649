"""From the files of the cells to what is reported: figures, differences, verdicts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from fdmo_cli.comparison.cells import PREDICTIONS_FILE, test_digest
from fdmo_cli.comparison.plan import Planned
from fdmo_core.comparison.differences import SIGNIFICANCE, compare_pair
from fdmo_core.comparison.holm import holm
from fdmo_core.comparison.paired_bootstrap import METRICS as PAIRED_METRICS
from fdmo_core.comparison.paired_bootstrap import resample_metrics, resample_seeds
from fdmo_core.comparison.pairs import Correct, Labels, Pair, mcnemar
from fdmo_core.comparison.ranks import groups_alike, rank_methods
from fdmo_core.comparison.verdicts import explain, judge
from fdmo_core.errors import DataError
from fdmo_core.estimates import Estimate, estimate_metric, estimate_recall, over_runs
from fdmo_core.intervals import percentile_interval
from fdmo_core.metrics import MetricsConfig

METRICS = ("acsa", "geometric_mean", "top1", "many", "medium", "few", "bottom_quarter", "ece")
RANKED_BY = "acsa"


@dataclass(frozen=True)
class Figure:
    """A metric of a method.

    Attributes:
        mean: Over the seeds.
        sd: Between seeds; None with one.
        low, high: Of the mean's interval: Student's over seeds, or with one seed that of the test
            images where there is one.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Gain:
    """The difference of a metric between a method and the baseline.

    Attributes:
        mean: Over the seeds that both have.
        low, high: Of Student's interval over seeds; None with one seed.
        bootstrap_low, bootstrap_high: Of the interval over resampled test images and seeds.
    """

    mean: float
    low: float | None
    high: float | None
    bootstrap_low: float
    bootstrap_high: float


@dataclass(frozen=True)
class Against:
    """A method beside the baseline.

    Attributes:
        seeds: That both have.
        gains: By metric.
        p_value: Of the difference in ACSA, over seeds and test images.
        p_holm: The same, adjusted for the number of methods.
        mcnemar: Of McNemar's test on all test images, whatever their class.
        mcnemar_holm: The same, adjusted.
        verdict: ``"better"``, ``"worse"`` or ``"indistinguishable"``.
        explanation: The verdict in a sentence.
    """

    seeds: tuple[int, ...]
    gains: Mapping[str, Gain]
    p_value: float
    p_holm: float
    mcnemar: float
    mcnemar_holm: float
    verdict: str
    explanation: str


@dataclass(frozen=True)
class Result:
    """One method.

    Attributes:
        method: Its name.
        family: Whose phase 1 it starts from.
        seeds: That are finished.
        figures: By metric; a group without a class is left out.
        recalls: By class that has a test image.
        seconds: Mean time of phase 2.
        against: None for the baseline.
    """

    method: str
    family: str
    seeds: tuple[int, ...]
    figures: Mapping[str, Figure]
    recalls: Mapping[str, Figure]
    seconds: float
    against: Against | None = None


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of the methods that all seeds finished.

    Attributes:
        methods: Best first.
        mean_ranks: In that order.
        p_value: Of Friedman's test.
        critical_difference: Nemenyi's.
        alike: Groups of methods that are not told apart.
    """

    methods: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    p_value: float
    critical_difference: float
    alike: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Comparison:
    """All that is reported.

    Attributes:
        baseline: What the others are compared with.
        seeds: That were asked for.
        confidence: Of all intervals.
        same_images: Whether all seeds are tested on the same images.
        class_names: In label order.
        train_counts, test_counts: Images per class; of the first seed, where they differ.
        results: By falling ACSA.
        ranks: None with one seed, or fewer than two methods that all seeds finished.
    """

    baseline: str
    seeds: tuple[int, ...]
    confidence: float
    same_images: bool
    class_names: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    results: tuple[Result, ...]
    ranks: Ranks | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Scores:
    """What one cell says of the test images."""

    correct: Correct
    labels: Labels


Cells = Mapping[str, Mapping[int, Planned]]  # the finished ones, by method and seed


def collect(planned: Sequence[Planned], baseline: str, config: MetricsConfig) -> Comparison:
    """Return the comparison of all finished cells.

    Args:
        planned: All cells.
        baseline: Name of a method.
        config: Confidence and number of resampled test sets.

    Raises:
        DataError: No cell of the baseline is finished.
    """
    cells: dict[str, dict[int, Planned]] = {}
    for one in planned:
        if one.cell.is_finished:
            cells.setdefault(one.method.name, {})[one.seed] = one
    if baseline not in cells:
        raise DataError(
            f"No run of the baseline '{baseline}' came to its end. Expected at least one, to "
            f"compare the others with. See why they failed, or choose another --baseline."
        )
    scores = {
        name: {seed: _scores(one) for seed, one in of_method.items()}
        for name, of_method in cells.items()
    }
    same_images = _same_images(planned)
    results = [_result(name, of_method, config) for name, of_method in cells.items()]
    against = _all_against(scores, cells, baseline, same_images, config)
    ranked = sorted(results, key=lambda one: -one.figures[RANKED_BY].mean)
    first = next(iter(cells[baseline].values()))
    data = json.loads((first.space / "data.json").read_text(encoding="utf-8"))
    return Comparison(
        baseline=baseline,
        seeds=tuple(sorted({one.seed for one in planned})),
        confidence=config.confidence,
        same_images=same_images,
        class_names=tuple(data["class_names"]),
        train_counts=tuple(data["counts"]["train"]),
        test_counts=tuple(data["counts"]["test"]),
        results=tuple(
            Result(**{**vars(one), "against": against.get(one.method)}) for one in ranked
        ),
        ranks=_ranks(cells, config),
    )


def _scores(one: Planned) -> Scores:
    tensors = load_file(one.cell.folder / PREDICTIONS_FILE)
    labels = tensors["test.labels"].astype(np.int64)
    return Scores(tensors["test.predictions"] == tensors["test.labels"], labels)


def _same_images(planned: Sequence[Planned]) -> bool:
    folders = {one.space for one in planned if one.cell.is_finished}
    return len({test_digest(folder) for folder in folders}) == 1


def _result(name: str, of_method: Mapping[int, Planned], config: MetricsConfig) -> Result:
    contents = [one.cell.metrics() for one in of_method.values()]
    reports = [content["test"]["after"] for content in contents]
    known = [metric for metric in METRICS if all(one[metric] is not None for one in reports)]
    level = config.confidence
    classes = [one for one in reports[0]["classes"] if all(one in r["classes"] for r in reports)]
    return Result(
        method=name,
        family=next(iter(of_method.values())).method.family,
        seeds=tuple(of_method),
        figures={
            metric: _figure(
                [one[metric] for one in reports],
                estimate_metric(reports, metric, confidence=level),
            )
            for metric in known
        },
        recalls={
            one: _figure(
                [report["classes"][one]["recall"] for report in reports],
                estimate_recall(reports, one, confidence=level),
            )
            for one in classes
        },
        seconds=float(np.mean([content["seconds"] for content in contents])),
    )


def _figure(values: Sequence[float], estimate: Estimate) -> Figure:
    sd = stdev(values) if len(values) > 1 else None
    return Figure(estimate.mean, sd, estimate.low, estimate.high)


def _all_against(
    scores: Mapping[str, Mapping[int, Scores]],
    cells: Cells,
    baseline: str,
    same_images: bool,
    config: MetricsConfig,
) -> dict[str, Against]:
    """Return each method beside the baseline; those that share no finished seed are left out."""
    shared = {
        name: tuple(seed for seed in of_method if seed in scores[baseline])
        for name, of_method in scores.items()
        if name != baseline
    }
    shared = {name: seeds for name, seeds in shared.items() if seeds}
    num_classes = int(max(one.labels.max() for one in scores[baseline].values())) + 1
    pairs = {
        name: _pair(scores[name], scores[baseline], seeds, num_classes, same_images)
        for name, seeds in shared.items()
    }
    differences = {name: compare_pair(pair) for name, pair in pairs.items()}
    p_values = [one.p_value for one in differences.values()]
    mcnemars = [mcnemar(pair) for pair in pairs.values()]
    resampled = _resample(scores, same_images, config)
    names = _class_names(cells[baseline])
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
            explanation=explain(difference, verdict, names, comparisons=len(pairs)),
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
            _measured(cells[name][seed], metric) - _measured(cells[baseline][seed], metric)
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


def _measured(one: Planned, metric: str) -> float:
    return float(one.cell.metrics()["test"]["after"][metric])


def _class_names(of_method: Mapping[int, Planned]) -> list[str]:
    first = next(iter(of_method.values()))
    names: list[str] = json.loads((first.space / "data.json").read_text("utf-8"))["class_names"]
    return names


def _ranks(cells: Cells, config: MetricsConfig) -> Ranks | None:
    most = max(len(of_method) for of_method in cells.values())
    complete = [name for name, of_method in cells.items() if len(of_method) == most]
    if most < 2 or len(complete) < 2:
        return None
    seeds = sorted(cells[complete[0]])
    figures = np.array([[_measured(cells[n][s], RANKED_BY) for n in complete] for s in seeds])
    found = rank_methods(figures, significance=SIGNIFICANCE)
    order = np.argsort(found.mean_ranks, kind="stable")
    names = [complete[one] for one in order]
    ranks = [float(found.mean_ranks[one]) for one in order]
    return Ranks(
        methods=tuple(names),
        mean_ranks=tuple(ranks),
        p_value=found.p_value,
        critical_difference=found.critical_difference,
        alike=tuple(
            tuple(names[one] for one in group)
            for group in groups_alike(ranks, found.critical_difference)
        ),
    )
