"""The map of a class; what it shows is read from the text of the SVG file."""

import re
from pathlib import Path
from xml.etree import ElementTree as Tree

import matplotlib as mpl
import pytest
import torch
from PIL import Image

from fdmo_cli.provenance.feature_map import MARKS, write_map
from fdmo_core.provenance.class_report import ClassReport, Figures


@pytest.mark.parametrize("held_out", [4, 0])
def test_every_feature_is_a_mark_of_its_kind(tmp_path: Path, held_out: int) -> None:
    rng = torch.Generator().manual_seed(0)
    real, val, artificial = (torch.randn(one, 5, generator=rng) for one in (3, held_out, 7))
    figures = Figures(3, held_out, None, None, None, None, None, None)
    found = ClassReport(0, artificial, None, real, val, figures)

    with mpl.rc_context({"svg.fonttype": "none"}):  # letters as text, not as curves
        paths = write_map(tmp_path, "cape-map", found, title="cape", projection="pca", seed=0)

    assert [path.name for path in paths] == ["cape-map.png", "cape-map.svg"]
    with Image.open(paths[0]) as image:
        assert min(image.size) > 400
    texts = {(one.text or "").strip() for one in Tree.parse(paths[1]).iter()}
    assert {"cape", "principal component 1", "principal component 2", *MARKS} <= texts
    for size, (colour, _) in zip((3, held_out, 7), MARKS.values(), strict=True):
        marks = re.findall(rf"<use [^>]*: {colour.lower()}", paths[1].read_text())
        assert len(marks) == size + 1  # and the legend
