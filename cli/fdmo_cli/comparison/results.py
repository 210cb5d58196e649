"""From the files of the cells to what is reported."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import stdev

import numpy as np

from fdmo_cli.comparison.against import Cells, compare_with, measured
from fdmo_cli.comparison.cells import digest_of_test
from fdmo_cli.comparison.findings import (
    METRICS,
    RANKED_BY,
    Comparison,
    Figure,
    Ranks,
    Result,
)
from fdmo_cli.comparison.plan import Planned
from fdmo_core.comparison.differences import SIGNIFICANCE
from fdmo_core.comparison.ranks import groups_alike, rank_methods
from fdmo_core.errors import DataError
from fdmo_core.estimates import Estimate, estimate_metric, estimate_recall
from fdmo_core.json_files import read_json
from fdmo_core.metrics import MetricsConfig


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
    same_images = _same_images(planned)
    results = [_result(name, of_method, config) for name, of_method in cells.items()]
    ranked = sorted(results, key=lambda one: -one.figures[RANKED_BY].mean)
    first = next(iter(cells[baseline].values()))
    data = read_json(first.space / "data.json")
    names = tuple(data["class_names"])
    against = compare_with(baseline, cells, names, same_images=same_images, config=config)
    return Comparison(
        baseline=baseline,
        seeds=tuple(sorted({one.seed for one in planned})),
        confidence=config.confidence,
        same_images=same_images,
        class_names=names,
        train_counts=tuple(data["counts"]["train"]),
        test_counts=tuple(data["counts"]["test"]),
        results=tuple(replace(one, against=against.get(one.method)) for one in ranked),
        ranks=_ranks(cells, config),
    )


def _same_images(planned: Sequence[Planned]) -> bool:
    folders = {one.space for one in planned if one.cell.is_finished}
    return len({digest_of_test(folder) for folder in folders}) == 1


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


def _ranks(cells: Cells, config: MetricsConfig) -> Ranks | None:
    most = max(len(of_method) for of_method in cells.values())
    complete = [name for name, of_method in cells.items() if len(of_method) == most]
    if most < 2 or len(complete) < 2:
        return None
    seeds = sorted(cells[complete[0]])
    figures = np.array([[measured(cells[n][s], RANKED_BY) for n in complete] for s in seeds])
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
