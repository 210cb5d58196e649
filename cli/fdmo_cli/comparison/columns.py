"""The columns of the ranked table, as text: the same on the screen, in Markdown and in LaTeX."""

from collections.abc import Callable, Mapping

from fdmo_cli.comparison.findings import Comparison, Figure, Gain, Result

METRIC_HEADINGS: Mapping[str, str] = {
    "acsa": "ACSA",
    "geometric_mean": "GM",
    "top1": "top-1",
    "many": "many",
    "medium": "medium",
    "few": "few",
    "bottom_quarter": "rarest 1/4",
    "ece": "ECE",
}
WITH_SPREAD = ("acsa", "geometric_mean", "top1")
WITH_INTERVAL = ("acsa",)
NOTHING = "-"

Cell = Callable[[Result], str]


def table_of(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows, best method first; figures are percentages."""
    columns: dict[str, Cell] = {"method": lambda one: one.method}
    for metric, heading in METRIC_HEADINGS.items():
        if any(metric in one.figures for one in comparison.results):
            columns[heading] = _metric(metric)
    columns["ACSA - baseline"] = lambda one: _gain(one, "acsa")
    columns["GM - baseline"] = lambda one: _gain(one, "geometric_mean")
    columns["p (Holm)"] = lambda one: _p_value(None if one.against is None else one.against.p_holm)
    columns["McNemar (Holm)"] = lambda one: _p_value(
        None if one.against is None else one.against.mcnemar_holm
    )
    columns["verdict"] = lambda one: (
        _of_none(one, comparison) if one.against is None else one.against.verdict
    )
    rows = [
        [str(rank), *(cell(one) for cell in columns.values())]
        for rank, one in enumerate(comparison.results, start=1)
    ]
    return ["", *columns], rows


def _metric(metric: str) -> Cell:
    return lambda one: _figure(one.figures.get(metric), metric)


def _figure(figure: Figure | None, metric: str) -> str:
    if figure is None:
        return NOTHING
    text = f"{100 * figure.mean:.2f}"
    if metric in WITH_SPREAD and figure.sd is not None:
        text += f" ± {100 * figure.sd:.2f}"
    if metric in WITH_INTERVAL and figure.low is not None and figure.high is not None:
        text += f" [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
    return text


def _gain(one: Result, metric: str) -> str:
    if one.against is None:
        return NOTHING
    gain: Gain = one.against.gains[metric]
    bounds = f"[{100 * gain.bootstrap_low:+.2f}, {100 * gain.bootstrap_high:+.2f}]"
    return f"{100 * gain.mean:+.2f} {bounds}"


def _p_value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _of_none(one: Result, comparison: Comparison) -> str:
    return "baseline" if one.method == comparison.baseline else "no seed in common"


def verdicts_of(comparison: Comparison) -> list[str]:
    """Return a sentence for each method but the baseline, best method first."""
    return [
        f"{one.method}: {one.against.explanation}."
        for one in comparison.results
        if one.against is not None
    ]
