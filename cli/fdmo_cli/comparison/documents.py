"""A comparison as files: CSV and JSON for machines, Markdown and LaTeX for papers and pages."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fdmo_cli.comparison.columns import table_of, verdicts_of
from fdmo_cli.comparison.findings import METRICS, Comparison, Result
from fdmo_cli.comparison.order import Order
from fdmo_core.comparison.differences import SIGNIFICANCE
from fdmo_core.comparison.paired_bootstrap import METRICS as PAIRED_METRICS
from fdmo_core.comparison.power import POWER
from fdmo_core.files import write_json, write_text

NAME = "comparison"
LATEX = str.maketrans(
    {
        **{one: f"\\{one}" for one in "&%$#_{}"},
        "±": r"$\pm$",
        "<": "$<$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)


def describe(comparison: Comparison, order: Order) -> list[str]:
    """Return what a reader must know of the figures, a sentence each."""
    percent = f"{100 * comparison.confidence:g} %"
    many = len(comparison.seeds) > 1
    images = (
        "All seeds are tested on the same images."
        if comparison.same_images
        else "Each seed is tested on images of its own."
    )
    notes = [
        f"{len(comparison.seeds)} seed(s). Baseline: {comparison.baseline}. {images}",
        f"Equal budgets: every method that takes steps updates the classifier "
        f"{order.budget.passes} times over the dictionary's size, in batches of "
        f"{order.budget.batch_size}."
        if order.budget.passes is not None
        else "The configured rebalancer takes no steps, so methods keep their own numbers.",
        f"After ± stands the standard deviation over seeds; in brackets the {percent} interval, "
        + ("Student's t over seeds." if many else "over the test images of one run."),
        f"Differences: mean, with the {percent} interval of a paired bootstrap over test images"
        + (" and seeds." if many else "; training again varies more."),
        f"p: of the difference in ACSA, over seeds and test images. McNemar: of all test images, "
        f"whatever their class. Both adjusted by Holm for {_compared(comparison)} comparisons; a "
        f"verdict needs p <= {SIGNIFICANCE:g}, and what you would need is for a chance of "
        f"{100 * POWER:.0f} % of one for a difference such as was seen.",
    ]
    if order.trials:
        notes.append(
            f"Settings: the best of {order.trials} trials on the validation split, for every "
            f"method that has some to choose."
        )
    else:
        notes.append("Settings: fixed defaults; nothing was chosen on the test split.")
    if comparison.ranks is not None:
        notes.append(
            f"Friedman's test over seeds: p = {comparison.ranks.p_value:.3g}; mean ranks that "
            f"differ by less than {comparison.ranks.critical_difference:.2f} are not told apart "
            f"(Nemenyi). Seeds of one data set are no independent data sets: this says nothing of "
            f"other data."
        )
    if order.left_out:
        notes.append(f"Left out: {', '.join(sorted(order.left_out))}; comparison.json says why.")
    return notes


def _compared(comparison: Comparison) -> int:
    return sum(one.against is not None for one in comparison.results)


def write_documents(
    folder: Path, comparison: Comparison, notes: Sequence[str], content: Mapping[str, Any]
) -> None:
    """Write ``comparison.csv``, ``.json``, ``.md`` and ``.tex``.

    Args:
        folder: Where to.
        comparison: What was found.
        notes: Sentences for the reader.
        content: Of the JSON file.
    """
    write_json(folder / f"{NAME}.json", content)
    write_text(folder / f"{NAME}.csv", _as_csv(comparison))
    write_text(folder / f"{NAME}.md", _as_markdown(comparison, notes))
    write_text(folder / f"{NAME}.tex", _as_latex(comparison, notes))


def _as_csv(comparison: Comparison) -> str:
    """Return a line for each method; figures are fractions, empty where there are none."""
    rows = [_record(rank, one) for rank, one in enumerate(comparison.results, start=1)]
    names = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _record(rank: int, one: Result) -> dict[str, Any]:
    record: dict[str, Any] = {
        "rank": rank,
        "method": one.method,
        "family": one.family,
        "seeds": len(one.seeds),
        "seconds": one.seconds,
    }
    for metric in METRICS:
        if metric in one.figures:
            record |= {f"{metric}_{key}": at for key, at in vars(one.figures[metric]).items()}
    if one.against is not None:
        for metric in PAIRED_METRICS:
            gains = vars(one.against.gains[metric]).items()
            record |= {f"{metric}_difference_{key}": at for key, at in gains}
        for key in ("p_value", "p_holm", "mcnemar", "mcnemar_holm", "verdict", "explanation"):
            record[key] = getattr(one.against, key)
    return record


def _as_markdown(comparison: Comparison, notes: Sequence[str]) -> str:
    headings, rows = table_of(comparison)
    lines = [
        "# Methods by average class accuracy (ACSA), in %",
        "",
        _markdown_row(headings),
        "|" + " --- |" * len(headings),
        *map(_markdown_row, rows),
        "",
        *(f"- {one}" for one in verdicts_of(comparison)),
        "",
        *(f"{one}  " for one in notes),
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    escaped = (one.replace("|", "\\|").replace("<", "&lt;") for one in cells)
    return "| " + " | ".join(escaped) + " |"


def _as_latex(comparison: Comparison, notes: Sequence[str]) -> str:
    """Return a table that needs the package booktabs; notes stand in comments above it."""
    headings, rows = table_of(comparison)
    lines = [
        *(f"% {one}" for one in notes),
        f"\\begin{{tabular}}{{rl{'r' * (len(headings) - 3)}l}}",
        "\\toprule",
        _latex_row(headings),
        "\\midrule",
        *map(_latex_row, rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(one.translate(LATEX) for one in cells) + r" \\"
