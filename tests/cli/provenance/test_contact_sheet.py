"""The contact sheet: which image is where."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fdmo_cli.provenance.contact_sheet import COLUMNS, GAP, LINE, MARGIN, SIDE, write_contact_sheet
from fdmo_core.provenance.mixtures import Mixture
from fdmo_core.samples import Sample

NUM_IMAGES = 30


@dataclass(frozen=True)
class Greys:
    """Images of one grey each, which is their number."""

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.zeros(NUM_IMAGES, dtype=np.int64)

    def __getitem__(self, index: int) -> Sample:
        return Sample(np.full((20, 20, 3), 5 * index, dtype=np.uint8), 0)

    def source(self, index: int) -> str:
        return f"a/rather/long/folder/with/a/name/img{index}.jpg"


def grey(sheet: Image.Image, line: int, place: int) -> tuple[int, ...]:
    corner = (MARGIN + place * (SIDE + GAP), line * LINE)
    pixel = sheet.getpixel((corner[0] + SIDE // 2, corner[1] + SIDE // 2))
    assert isinstance(pixel, tuple)
    return pixel


def test_a_feature_s_sources_stand_in_a_line_the_weightiest_first(tmp_path: Path) -> None:
    mixed = [
        Mixture(torch.tensor([2, 0]), torch.tensor([[0.7, 0.3]])),
        Mixture(torch.tensor([1]), torch.tensor([[1.0]])),
    ]

    write_contact_sheet(tmp_path / "sheet.png", mixed, [10, 20, 29], Greys())

    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (MARGIN + (COLUMNS + 1) * (SIDE + GAP), 2 * LINE)
        assert [grey(sheet, 0, place) for place in (0, 1)] == [(145,) * 3, (50,) * 3]
        assert grey(sheet, 0, 2) == (255,) * 3
        assert grey(sheet, 1, 0) == (100,) * 3
        assert grey(sheet, 1, 1) == (255,) * 3


def test_no_more_sources_than_columns_are_drawn(tmp_path: Path) -> None:
    weights = torch.full((2, 12), 1 / 12)

    write_contact_sheet(
        tmp_path / "sheet.png", [Mixture(torch.arange(12), weights)], list(range(12)), Greys()
    )

    with Image.open(tmp_path / "sheet.png") as sheet:
        assert grey(sheet, 0, COLUMNS - 1) == (5 * (COLUMNS - 1),) * 3
        assert grey(sheet, 0, COLUMNS) == (255,) * 3


def test_text_stays_below_its_image(tmp_path: Path) -> None:
    mixed = [Mixture(torch.tensor([0]), torch.tensor([[0.9], [0.1]]))]

    write_contact_sheet(tmp_path / "sheet.png", mixed, [0], Greys())

    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("L"))
    below = pixels[SIDE:]
    assert below[:, MARGIN : MARGIN + SIDE].min() < 64
    assert below[:, MARGIN + SIDE + 1 :].min() == 255
