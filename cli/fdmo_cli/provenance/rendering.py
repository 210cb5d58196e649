"""Artificial features as sums of their source images, and figures of a class as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fdmo_core.provenance.class_report import ClassReport, Figures
from fdmo_core.provenance.mixtures import Mixture

SHOWN_SOURCES = 5  # of a feature, as text; the rest is summed up
STREAMS = {1: ("",), 2: ("texture", "shape")}
COLUMNS = {
    "dictionary_rows": ("training rows", "{}"),
    "held_out_rows": ("validation rows", "{}"),
    "entropy": ("entropy", "{:.2f}"),
    "effective_sources": ("effective sources", "{:.1f}"),
    "coverage": ("coverage", "{:.2f}"),
    "coverage_by_dictionary": ("by training rows", "{:.2f}"),
    "mmd": ("MMD^2", "{:.4f}"),
    "mmd_of_halves": ("of real halves", "{:.4f}"),
}
LEGEND = (
    "Effective sources: exp of the entropy of the weights. Coverage: share of validation rows with "
    "an artificial row in their neighbourhood; beside it that of the training rows. MMD^2: of "
    "artificial and training rows; beside it what 95 % of the halvings of the training rows stay "
    "below."
)


def stream_names(num_streams: int) -> tuple[str, ...]:
    """Return what the streams are called."""
    return STREAMS.get(num_streams) or tuple(f"stream {one + 1}" for one in range(num_streams))


def as_sum(weights: Sequence[float], names: Sequence[str]) -> str:
    """Return a mixture as a sum, such as ``0.41 img17 + 0.33 img4 + 12 more 0.26``.

    Args:
        weights: Of the sources.
        names: Of the sources.
    """
    pairs = sorted(zip(weights, names, strict=True), key=lambda pair: -pair[0])
    present = [pair for pair in pairs if pair[0] > 0]
    terms = [f"{weight:.2f} {name}" for weight, name in present[:SHOWN_SOURCES]]
    rest = present[SHOWN_SOURCES:]
    if rest:
        terms.append(f"{len(rest)} more {sum(weight for weight, _ in rest):.2f}")
    return " + ".join(terms)


def sums_of(mixture: Mixture, sources: Sequence[str]) -> dict[str, str]:
    """Return a mixture as a sum for each stream, or as one where the streams mix alike.

    Args:
        mixture: The sources of a feature.
        sources: For each row of the dictionary what its image is called.
    """
    names = [sources[row] for row in mixture.rows.tolist()]
    streams = mixture.weights
    if all(torch.equal(one, streams[0]) for one in streams):
        return {"": as_sum(streams[0].tolist(), names)}
    return {
        stream: as_sum(one.tolist(), names)
        for stream, one in zip(stream_names(len(streams)), streams, strict=True)
    }


def print_samples(name: str, found: ClassReport, sources: Sequence[str], num: int) -> None:
    """Print the first artificial features of a class on stdout, each as a sum of its sources."""
    console = Console()
    if found.mixtures is None:
        console.print(
            Text(f"{name}: the generator makes features without naming sources."), soft_wrap=True
        )
        return
    console.print(Text(f"{name}, artificial features:"))
    for number, mixture in enumerate(found.mixtures[:num], start=1):
        for place, (stream, text) in enumerate(sums_of(mixture, sources).items()):
            head = f"{number:3} " if place == 0 else " " * 4
            console.print(
                Text(head + (f"{stream + ':':9}" if stream else "") + text), soft_wrap=True
            )


def print_figures(figures: Mapping[str, Figures]) -> None:
    """Print the figures of classes on stdout, a row each."""
    table = Table("class", title="How real artificial features are", title_justify="left")
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right")
    for name, one in figures.items():
        values = one.as_dict()
        cells = (_cell(values[key], form) for key, (_, form) in COLUMNS.items())
        table.add_row(Text(name), *cells)
    console = Console()
    console.print(table)
    console.print(LEGEND, highlight=False)


def _cell(value: Any, form: str) -> str:
    return "-" if value is None else form.format(value)


def as_data(
    found: ClassReport, sources: Sequence[str], images: Sequence[int], num: int
) -> dict[str, Any]:
    """Return a class's figures and its first features with all their sources, as JSON knows them.

    Args:
        found: Of the class.
        sources: For each row of the dictionary what its image is called.
        images: For each row of the dictionary its image in the training split.
        num: How many features.
    """
    samples = None
    if found.mixtures is not None:
        samples = [
            [
                {"source": sources[row], "image": images[row], "weights": shares}
                for row, shares in zip(one.rows.tolist(), one.weights.T.tolist(), strict=True)
            ]
            for one in found.mixtures[:num]
        ]
    return {"label": found.label, "figures": found.figures.as_dict(), "samples": samples}
