"""A comparison as PNG and SVG files; needs matplotlib, the extra ``plot``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdmo_cli.comparison.columns import METRIC_HEADINGS
from fdmo_cli.comparison.findings import Comparison, Figure, Ranks, Result
from fdmo_cli.reproduction.plots import BLUE, GREEN, GREY, ORANGE, RED, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEFORE = "none"  # phase 1 as it is
MOST_NAMED_CLASSES = 60  # beyond, names would cover each other
SWEPT_METRICS = ("top1", "acsa", "geometric_mean")
STYLES = ((ORANGE, "o"), (BLUE, "^"), (GREY, "s"), (GREEN, "D"), (RED, "v"))


def write_plots(folder: Path, comparison: Comparison, *, sweep: str) -> list[Path]:
    """Write the plots that there is something to show in, and return their paths.

    Args:
        folder: Where to.
        comparison: What was found.
        sweep: The setting whose values were tried, or empty.
    """
    paths = _write(folder, "recalls", _draw_recalls, comparison)
    if comparison.ranks is not None:
        paths += _write(folder, "ranks", _draw_ranks, comparison.ranks)
    if sweep:
        paths += _write(folder, "sweep", _draw_sweep, comparison, sweep)
    return paths


def _write(folder: Path, name: str, draw: Any, *content: Any) -> list[Path]:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(layout="constrained")
    draw(canvas, *content)
    return save_figure(folder, name, canvas)


def _draw_recalls(canvas: Any, comparison: Comparison) -> None:
    """Draw each class's recall before and after, and the line of the classes' shares of the data.

    Source: Fig. 2 of the paper, which shows the rarest quarter; here all classes, by size.
    """
    order = sorted(
        (at for at in range(len(comparison.class_names)) if comparison.test_counts[at]),
        key=lambda at: -comparison.train_counts[at],
    )
    names = [comparison.class_names[at] for at in order]
    shown = _before_and_after(comparison)
    canvas.set_size_inches(max(6.0, 1.5 + 0.6 * min(len(names), MOST_NAMED_CLASSES)), 4.5)
    panel: Any = canvas.subplots()
    width = 0.8 / len(shown)
    for position, (one, colour, hatch) in enumerate(
        zip(shown, (BLUE, ORANGE, GREEN), ("", "//", ".."), strict=False)
    ):
        figures = [one.recalls[name] for name in names]
        panel.bar(
            [at + (position - (len(shown) - 1) / 2) * width for at in range(len(names))],
            [figure.mean for figure in figures],
            width,
            yerr=_errors(figures),
            color=colour,
            hatch=hatch,
            ecolor=GREY,
            capsize=2,
            label=one.method,
        )
    total = sum(comparison.train_counts)
    other = panel.twinx()
    other.plot(
        range(len(names)),
        [100 * comparison.train_counts[at] / total for at in order],
        color="black",
        marker=".",
        label="share of the training images",
    )
    if len(names) <= MOST_NAMED_CLASSES:
        panel.set_xticks(range(len(names)), names, rotation=45, ha="right")
    panel.set_ylabel("recall of the class")
    panel.set_ylim(0, 1)
    other.set_ylabel("share of the training images (%)")
    other.set_ylim(bottom=0)
    canvas.legend(loc="outside lower center", ncols=4, fontsize=8)


def _before_and_after(comparison: Comparison) -> list[Result]:
    """Return phase 1 as it is, the baseline and the best of the other methods, each once."""
    first = (BEFORE, comparison.baseline)
    by_name = {one.method: one for one in comparison.results}
    best = next((name for name in by_name if name not in first), comparison.baseline)
    return [by_name[name] for name in dict.fromkeys((*first, best)) if name in by_name]


def _errors(figures: Sequence[Figure]) -> list[list[float]]:
    """Return how far the bounds are below and above the means, as matplotlib takes them."""
    pairs = [
        (0.0, 0.0)
        if one.low is None or one.high is None
        else (max(0.0, one.mean - one.low), max(0.0, one.high - one.mean))
        for one in figures
    ]
    return [list(side) for side in zip(*pairs, strict=True)]


def _draw_ranks(canvas: Any, ranks: Ranks) -> None:
    """Draw the critical-difference diagram: bars join methods that are not told apart.

    Source: Demsar 2006, Fig. 1; here with a line for each method, so that many fit, and the bars
    beside the ranks.
    """
    names, at = list(ranks.methods), list(ranks.mean_ranks)
    canvas.set_size_inches(8, 1.6 + 0.28 * len(names))
    panel: Any = canvas.subplots()
    panel.plot(at, range(len(names)), color=BLUE, marker="o", linestyle="none")
    panel.plot([1, 1 + ranks.critical_difference], [-1, -1], color=RED, marker="|")
    panel.annotate("critical difference", (1, -1.2), fontsize=8, color=RED)
    for position, group in enumerate(ranks.alike, start=1):
        rows = [names.index(one) for one in group]
        place = len(names) * (1 + 0.03 * position)
        panel.plot([place, place], [rows[0], rows[-1]], color=GREY, linewidth=3)
    panel.set_yticks(range(len(names)), names)
    panel.invert_yaxis()
    panel.set_xlabel(
        f"mean rank over seeds by ACSA; critical difference {ranks.critical_difference:.2f}"
    )
    panel.grid(axis="x", alpha=0.3)
    panel.set_title("Seeds of one data set are no independent data sets.", fontsize=9)


def _draw_sweep(canvas: Any, comparison: Comparison, sweep: str) -> None:
    """Draw a panel for each metric, with a curve for each method over the values of a setting.

    Source: Fig. 4 of the paper, where the setting is N_s.
    """
    canvas.set_size_inches(12, 4)
    panels: Any = canvas.subplots(1, len(SWEPT_METRICS))
    curves: dict[str, dict[str, Result]] = {}
    for one in comparison.results:
        name, at, value = one.method.rpartition("@")
        if at:
            curves.setdefault(name, {})[value] = one
    for panel, metric in zip(panels, SWEPT_METRICS, strict=True):
        for position, (name, points) in enumerate(sorted(curves.items())):
            _draw_curve(panel, metric, name, points, STYLES[position % len(STYLES)])
        panel.set_xlabel(sweep)
        panel.set_ylabel(METRIC_HEADINGS[metric])
        panel.grid(alpha=0.3)
    handles, names = panels[0].get_legend_handles_labels()
    canvas.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)


def _draw_curve(
    panel: "Axes", metric: str, name: str, points: dict[str, Result], style: tuple[str, str]
) -> None:
    ordered = sorted(points.items(), key=lambda point: float(point[0]))
    figures = [one.figures[metric] for _, one in ordered]
    panel.errorbar(
        [float(value) for value, _ in ordered],
        [one.mean for one in figures],
        yerr=_errors(figures),
        color=style[0],
        marker=style[1],
        capsize=3,
        label=name,
    )
