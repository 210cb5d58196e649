"""The plots; what they show is read from the text of the SVG file."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as Tree

import matplotlib as mpl
import pytest
from PIL import Image

from fdmo_cli.reproduction import plots
from fdmo_cli.reproduction.definitions import EXPERIMENTS
from fdmo_cli.reproduction.records import collect
from fdmo_core.errors import ConfigError
from fdmo_core.experiments import Cell

WriteCells = Callable[..., dict[str, Cell]]
SHOWN = {
    "table2": ["top-1 accuracy (%)", "ACSA", "w/ Convex-GAN, LDAM", "the paper, one run"],
    "figure2": ["recall of the class", "share of all images (%)", "cape", "w/ Convex-GAN"],
    "figure4": ["features drawn per class, N_s", "top-1 accuracy (%)", "LDAM", "300"],
}


def texts(path: Path) -> set[str]:
    return {(one.text or "").strip() for one in Tree.parse(path).iter() if one.tag.endswith("text")}


@pytest.mark.parametrize("name", SHOWN)
def test_a_plot_is_written_as_png_and_svg_with_labelled_axes(
    name: str, write_cells: WriteCells, tmp_path: Path
) -> None:
    experiment = EXPERIMENTS[name]
    records = collect(experiment, [write_cells(experiment)], confidence=0.95)

    with mpl.rc_context({"svg.fonttype": "none"}):  # letters as text, not as curves
        paths = plots.write_plots(tmp_path, experiment, records, ["A note."])

    assert [path.name for path in paths] == [f"{name}.png", f"{name}.svg"]
    with Image.open(paths[0]) as image:
        assert min(image.size) > 400
    assert {*SHOWN[name], experiment.title, "A note."} <= texts(paths[1])


def test_the_paper_s_figures_are_marks_of_their_own_colour(
    write_cells: WriteCells, tmp_path: Path
) -> None:
    experiment = EXPERIMENTS["table3"]
    records = collect(experiment, [write_cells(experiment)], confidence=0.95)

    _, svg = plots.write_plots(tmp_path, experiment, records, [])

    marks = re.findall(rf"<use [^>]*stroke: {plots.RED.lower()}", svg.read_text())
    assert len(marks) == 5 * 3 + 1  # rows by metrics, and the legend


def test_a_plot_of_what_is_left_after_failures_is_drawn(
    write_cells: WriteCells, tmp_path: Path
) -> None:
    experiment = EXPERIMENTS["table5"]
    cells = write_cells(experiment, without=("ldam", "shape-only"))
    records = collect(experiment, [cells], confidence=0.95)

    assert all(path.is_file() for path in plots.write_plots(tmp_path, experiment, records, []))


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda _name: None)

    with pytest.raises(ConfigError) as caught:
        plots.require_matplotlib()

    assert str(caught.value) == (
        "matplotlib is not installed. Expected it for the plots. Install it with pip install "
        "'fdmo[plot]', or go without plots with --no-plot."
    )
