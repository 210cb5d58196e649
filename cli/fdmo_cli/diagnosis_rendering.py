"""A diagnosis as tables and sentences."""

from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from fdmo_core.diagnosis.diagnosis import Diagnosis, known, ratio

LEGEND = (
    "Recall and margin (median score of the class minus the best other one) are of phase 1's "
    "classifier, nearest mean is of the features alone, a training row left out of its own mean; "
    "each on training / validation features. A ratio above 1: training ones are over-separated."
)
MAX_CLASSES = 40  # rows; of more classes those with the fewest training images are shown


def print_diagnosis(found: Diagnosis, *, title: str) -> None:
    """Print a diagnosis on stdout."""
    console = Console()
    console.print(_classes(found, title))
    console.print(LEGEND, highlight=False)
    if found.confusions:
        console.print(_confusions(found))
    console.print(
        f"Phase 1 on validation: ACSA {found.acsa:.4f}, geometric mean {found.geometric_mean:.4f}",
        highlight=False,
    )
    advice = found.recommendation
    for heading, sentences in (
        ("Recommendation", (advice.verdict,)),
        ("Evidence", advice.evidence),
        ("Caution", advice.cautions),
    ):
        if sentences:
            console.print(Text(heading, style="bold"))
        for sentence in sentences:
            console.print(Text(f"  {sentence}"), soft_wrap=True)


def _classes(found: Diagnosis, title: str) -> Table:
    table = Table("class", title=Text(title), title_justify="left")
    for heading in ("train", "effective", "val"):
        table.add_column(heading, justify="right")
    for heading in ("recall", "margin", "nearest mean"):
        table.add_column(heading, justify="right")
        table.add_column("ratio", justify="right")
    order = found.class_counts.argsort(descending=True, stable=True).tolist()
    if len(order) > MAX_CLASSES:
        table.caption = f"The {MAX_CLASSES} smallest of {len(order)} classes; --json has all."
    pairs = (
        found.separability.recall,
        found.separability.margin,
        found.separability.nearest_mean,
    )
    for label in order[-MAX_CLASSES:]:
        cells = [
            str(int(found.class_counts[label])),
            f"{float(found.prior.effective_sizes[label]):.0f}",
            str(int(found.validation_counts[label])),
        ]
        for training, held_out in pairs:
            cells.append(f"{_cell(training[label])} / {_cell(held_out[label])}")
            by = ratio(training[label], held_out[label])
            cells.append("-" if by is None else f"{by:.2f}")
        table.add_row(Text(found.class_names[label]), *cells)
    return table


def _cell(value: Tensor) -> str:
    number = known(value)
    return "-" if number is None else f"{number:.2f}"


def _confusions(found: Diagnosis) -> Table:
    table = Table("class", "taken for", title="Confusions on validation", title_justify="left")
    table.add_column("images", justify="right")
    table.add_column("share of the class", justify="right")
    for one in found.confusions:
        names = (found.class_names[label] for label in (one.label, one.taken_for))
        table.add_row(*map(Text, names), str(one.num_images), f"{100 * one.share:.0f} %")
    return table
