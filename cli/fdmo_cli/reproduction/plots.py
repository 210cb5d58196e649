"""An experiment's records as a PNG and an SVG file; needs matplotlib, the extra ``plot``."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdmo_cli.reproduction.definitions import METRICS, Experiment
from fdmo_cli.reproduction.records import Record
from fdmo_core.errors import ConfigError
from fdmo_core.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
DOTS_PER_INCH = 150
AXES = {"top1": "top-1 accuracy (%)", "acsa": "ACSA", "geometric_mean": "geometric mean"}
# Okabe and Ito 2008: apart for people of all kinds of colour vision; marks differ in form as well.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
CURVES = {"LDAM": (ORANGE, "o", -4), "Focal": (GREY, "s", 0), "MSE": (BLUE, "^", 4)}  # as Fig. 4


def require_matplotlib(otherwise: str = "go without plots with --no-plot") -> None:
    """Raise a ConfigError if matplotlib is not installed; ``otherwise`` says how to do without."""
    if find_spec("matplotlib") is None:
        raise ConfigError(
            "matplotlib is not installed. Expected it for the plots. Install it with pip install "
            f"'fdmo[plot]', or {otherwise}."
        )


def write_plots(
    folder: Path, experiment: Experiment, records: Sequence[Record], notes: Sequence[str]
) -> list[Path]:
    """Write ``NAME.png`` and ``NAME.svg`` and return their paths.

    Args:
        folder: Where to.
        experiment: Decides the kind of plot.
        records: At least one.
        notes: Sentences below the title.
    """
    from matplotlib.figure import Figure

    draw = {"table": _draw_table, "classes": _draw_classes, "curves": _draw_curves}
    figure = Figure(layout="constrained")
    draw[experiment.kind](figure, experiment, records)
    figure.suptitle("\n".join([experiment.title, *notes]), fontsize=9)
    return save_figure(folder, experiment.name, figure)


def save_figure(folder: Path, name: str, figure: "Figure") -> list[Path]:
    """Write ``NAME.png`` and ``NAME.svg`` and return their paths."""
    paths = [folder / f"{name}.{kind}" for kind in FORMATS]
    for path, kind in zip(paths, FORMATS, strict=True):
        with replacing(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=DOTS_PER_INCH)
    return paths


def _scaled(record: Record, value: float) -> float:
    """Return a value in the unit of its axis."""
    return 100 * value if record.metric in ("top1", "share_of_data") else value


def _errors(records: Sequence[Record]) -> list[list[float]]:
    """Return how far the bounds are below and above the means, as matplotlib takes them."""
    pairs = [
        (0.0, 0.0)
        if one.low is None or one.high is None
        else (_scaled(one, one.mean - one.low), _scaled(one, one.high - one.mean))
        for one in records
    ]
    return [list(side) for side in zip(*pairs, strict=True)]


def _draw_table(figure: "Figure", experiment: Experiment, records: Sequence[Record]) -> None:
    """Draw a panel for each metric, with a line for each row, the first one on top."""
    labels = [row.label for row in experiment.rows]
    figure.set_size_inches(12, 1.8 + 0.32 * len(labels))
    panels: Any = figure.subplots(1, len(METRICS), sharey=True)
    for panel, metric in zip(panels, METRICS, strict=True):
        of_metric = [one for one in records if one.metric == metric]
        _draw_rows(panel, of_metric, labels)
        panel.set_xlabel(AXES[metric])
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].invert_yaxis()
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8)


def _draw_rows(panel: "Axes", records: Sequence[Record], labels: Sequence[str]) -> None:
    kinds = ((True, BLUE, "o", "measured"), (False, GREEN, "s", "measured, not in the paper"))
    for is_in_paper, colour, marker, name in kinds:
        chosen = [one for one in records if one.in_paper == is_in_paper]
        if chosen:
            panel.errorbar(
                [_scaled(one, one.mean) for one in chosen],
                [labels.index(one.row) for one in chosen],
                xerr=_errors(chosen),
                fmt=marker,
                color=colour,
                capsize=3,
                label=name,
            )
    printed = [(one, one.paper) for one in records if one.paper is not None]
    panel.plot(
        [_scaled(one, paper) for one, paper in printed],
        [labels.index(one.row) for one, _ in printed],
        marker="D",
        markerfacecolor="none",
        color=RED,
        linestyle="none",
        label="the paper, one run",
    )
    panel.grid(axis="x", alpha=0.3)


def _draw_classes(figure: "Figure", experiment: Experiment, records: Sequence[Record]) -> None:
    """Draw two bars for each class, and the line of the classes' shares of the data."""
    names = list(dict.fromkeys(one.row for one in records))
    figure.set_size_inches(max(6.0, 1.5 + 0.6 * len(names)), 4.5)
    panel: Any = figure.subplots()
    width = 0.4
    for row, colour, hatch, side in zip(
        experiment.rows, (BLUE, ORANGE), ("", "//"), (-0.5, 0.5), strict=True
    ):
        of_row = [one for one in records if one.when == row.when]
        panel.bar(
            [names.index(one.row) + side * width for one in of_row],
            [one.mean for one in of_row],
            width,
            yerr=_errors(of_row),
            color=colour,
            hatch=hatch,
            ecolor=GREY,
            capsize=2,
            label=row.label,
        )
    shares = [one for one in records if one.metric == "share_of_data"]
    other = panel.twinx()
    other.plot(
        [names.index(one.row) for one in shares],
        [_scaled(one, one.mean) for one in shares],
        color="black",
        marker=".",
        label="share of the data",
    )
    panel.set_xticks(range(len(names)), names, rotation=45, ha="right")
    panel.set_ylabel("recall of the class")
    panel.set_ylim(0, 1)
    other.set_ylabel("share of all images (%)")
    other.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)


def _draw_curves(figure: "Figure", experiment: Experiment, records: Sequence[Record]) -> None:
    """Draw a panel for each metric, with a curve for each loss over N_s."""
    figure.set_size_inches(12, 4)
    panels: Any = figure.subplots(1, len(METRICS))
    rows = {row.label: row for row in experiment.rows}
    numbers = sorted({row.num_samples for row in experiment.rows})
    for panel, metric in zip(panels, METRICS, strict=True):
        for name, (colour, marker, aside) in CURVES.items():
            points = [
                one for one in records if one.metric == metric and rows[one.row].series == name
            ]
            if points:
                panel.errorbar(
                    [rows[one.row].num_samples + aside for one in points],  # no mark hides one
                    [_scaled(one, one.mean) for one in points],
                    yerr=_errors(points),
                    color=colour,
                    marker=marker,
                    capsize=3,
                    label=name,
                )
        panel.set_xticks(numbers)
        panel.set_xlabel("features drawn per class, N_s")
        panel.set_ylabel(AXES[metric])
        panel.grid(alpha=0.3)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8)
