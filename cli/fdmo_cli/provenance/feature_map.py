"""Real and artificial features of a class on a plane; needs matplotlib, the extra ``plot``."""

from pathlib import Path

import torch

from fdmo_cli.reproduction.plots import BLUE, GREEN, RED, save_figure
from fdmo_core.provenance.class_report import ClassReport
from fdmo_core.provenance.projection import project

MARKS = {
    "real, training": (BLUE, "o"),
    "real, validation": (GREEN, "^"),
    "artificial": (RED, "x"),
}
NAMES = {"pca": "principal component", "umap": "UMAP"}


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
    return save_figure(folder, stem, figure)
