"""Real and artificial features of a class on a plane; needs matplotlib, the extra ``plot``."""

from importlib.util import find_spec
from pathlib import Path

import torch

from fdmo_core.errors import ConfigError
from fdmo_core.files import replacing
from fdmo_core.provenance.class_report import ClassReport
from fdmo_core.provenance.projection import project

FORMATS = ("png", "svg")
DOTS_PER_INCH = 150
# Okabe and Ito 2008: apart for people of all kinds of colour vision; marks differ in form as well.
MARKS = {
    "real, training": ("#0072B2", "o"),
    "real, validation": ("#009E73", "^"),
    "artificial": ("#D55E00", "x"),
}
NAMES = {"pca": "principal component", "umap": "UMAP"}


def require_matplotlib() -> None:
    """Raise a ConfigError if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise ConfigError(
            "matplotlib is not installed. Expected it for the map. Install it with pip install "
            "'fdmo[plot]', or go without a map with --map none."
        )


def write_map(
    folder: Path, stem: str, found: ClassReport, *, title: str, projection: str, seed: int
) -> list[Path]:
    """Write ``STEM.png`` and ``STEM.svg`` and return their paths.

    The plane is that of all points that are shown.

    Args:
        folder: Where to.
        stem: Name of the files.
        found: Of the class.
        title: Above the map.
        projection: Its name.
        seed: Of a projection that draws.
    """
    from matplotlib.figure import Figure

    sets = (found.real, found.held_out, found.artificial)
    points = project(torch.cat(sets), projection, seed=seed).split([len(one) for one in sets])
    figure = Figure(figsize=(6, 5), layout="constrained")
    panel = figure.subplots()
    for (name, (colour, marker)), part in zip(MARKS.items(), points, strict=True):
        x, y = part.T.tolist()
        panel.scatter(x, y, 18, color=colour, marker=marker, alpha=0.7, label=name)
    panel.set_title(title)
    panel.set_xlabel(f"{NAMES[projection]} 1")
    panel.set_ylabel(f"{NAMES[projection]} 2")
    panel.legend()
    paths = [folder / f"{stem}.{name}" for name in FORMATS]
    for path, name in zip(paths, FORMATS, strict=True):
        with replacing(path) as temporary:
            figure.savefig(temporary, format=name, dpi=DOTS_PER_INCH)
    return paths
