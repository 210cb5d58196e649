"""What an export and a check of its file found, as tables."""

from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from fdmo_export.verify import ProviderAnswers, Verification
    from fdmo_export.write import Export


def print_export(report: "Export") -> None:
    """Print what was compared, what was written, and what to do next."""
    parity, path, images = report.parity, report.path, report.parity.images
    table = Table(
        title=Text(f"Largest differences of file and trained network, on {parity.split} samples"),
        title_justify="left",
    )
    table.add_column("output")
    for one in parity.network:
        table.add_column(f"batch of {one.batch_size}", justify="right")
    flips = [str(one.label_flips) for one in parity.network]
    if images:
        table.add_column(f"{images.images} images", justify="right")
        flips.append(str(images.label_flips))
    for name in parity.network[0].differences:
        cells = [f"{one.differences[name]:.1e}" for one in parity.network]
        if images and name == "probabilities":
            cells.append(f"{images.largest_difference:.1e}")
        table.add_row(name, *cells)
    table.add_row("classes that flip", *flips)
    Console().print(table)
    if images:
        name = report.precision.precision
        lowered = "" if name == "fp32" else f", that of {name} included,"
        typer.echo(
            f"Whole images were prepared as in training on one side, by the file on the other: "
            f"{images.other_pixels:.2%} of the network's pixel values differ, by at most "
            f"{images.largest_pixel_difference} of 255; the mean difference of a "
            f"probability{lowered} is {images.mean_difference:.1e}."
        )
    open_landmarks = sum(one.open_landmarks for one in parity.network)
    if open_landmarks:
        typer.echo(
            f"{open_landmarks} landmark(s) were left out of the comparison: two cells of their "
            f"heatmap are as good."
        )
    if report.external_data:
        typer.echo(
            f"The weights do not fit into one ONNX file. They are in "
            f"{report.external_data['file']} "
            f"({report.external_data['bytes'] / 2**20:.1f} MiB); keep both files in one folder."
        )
    for line in report.precision.lines():
        typer.echo(line)
    typer.echo(f"Wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
    typer.echo(f"Next: fdmo evaluate {path}")


def print_verification(found: "Verification") -> None:
    """Print each golden example on each provider."""
    typer.echo(f"{found.path}: digest and structure are right; golden examples:")
    table = Table()
    for heading in ("example", "class", *(one.provider for one in found.providers)):
        table.add_column(heading)
    for row, first in enumerate(found.providers[0].answers):
        cells = (_cell(one, row) for one in found.providers)
        table.add_row(str(row + 1), Text(first.expected), *cells)
    Console().print(table)
    for one in found.providers:
        largest = max(answer.difference for answer in one.answers)
        landmarks = (
            f"; {one.moved_landmarks} of {one.num_landmarks} landmarks lie elsewhere"
            if one.num_landmarks
            else ""
        )
        typer.echo(
            f"{one.provider}: largest difference of a probability {largest:.1e}, allowed at "
            f"{found.precision} {one.tolerance:g}{landmarks}"
        )
    for name, reason in found.unusable.items():
        typer.echo(f"{name} was not checked: {reason}")


def _cell(one: "ProviderAnswers", row: int) -> Text:
    answer = one.answers[row]
    verdict = "" if answer.difference <= one.tolerance else ", too far off"
    return Text(f"{answer.found} ({answer.difference:.1e}{verdict})")
