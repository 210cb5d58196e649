"""The plots are written, and show what they should."""

from pathlib import Path

from fdmo_cli.comparison.findings import Comparison
from fdmo_cli.comparison.plots import write_plots


def test_each_plot_is_written_as_png_and_as_svg(comparison: Comparison, tmp_path: Path) -> None:
    paths = write_plots(tmp_path, comparison, sweep="rebalancer.samples_per_class")

    assert [path.name for path in paths] == [
        f"{name}.{kind}" for name in ("recalls", "ranks", "sweep") for kind in ("png", "svg")
    ]
    for path in paths:
        start = path.read_bytes()[:8]
        assert start == b"\x89PNG\r\n\x1a\n" if path.suffix == ".png" else start == b"<?xml ve"


def test_without_a_sweep_there_is_no_curve(comparison: Comparison, tmp_path: Path) -> None:
    paths = write_plots(tmp_path, comparison, sweep="")

    assert {path.stem for path in paths} == {"recalls", "ranks"}
