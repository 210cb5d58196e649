"""The source images of artificial features as one picture, a line a feature."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from fdmo_core.files import replacing
from fdmo_core.preprocessing import prepare
from fdmo_core.provenance.mixtures import Mixture
from fdmo_core.samples import Split

SIDE = 96  # of a source image, in pixels
COLUMNS = 8  # sources of a feature; the rest is summed up
TEXT = 14  # height of a line of text
GAP = 6
LINE = SIDE + 2 * TEXT + GAP
MARGIN = 40  # for the feature's number


def write_contact_sheet(
    path: Path, mixed: Sequence[Mixture], images: Sequence[int], split: Split
) -> None:
    """Write a PNG of the weightiest source images, each with its weights and its name.

    Of several streams the weights stand in their order, such as ``0.41 | 0.02``.

    Args:
        path: Where to.
        mixed: The sources of each artificial feature, at least one.
        images: For each row of the dictionary its image in the split.
        split: The training split.
    """
    sheet = Image.new("RGB", (MARGIN + (COLUMNS + 1) * (SIDE + GAP), len(mixed) * LINE), "white")
    draw = ImageDraw.Draw(sheet)
    for line, one in enumerate(mixed):
        top = line * LINE
        draw.text((GAP, top + SIDE // 2), str(line + 1), fill="black")
        shares = one.weights.T.tolist()  # (S, T)
        for place, (row, share) in enumerate(
            list(zip(one.rows.tolist(), shares, strict=True))[:COLUMNS]
        ):
            corner = (MARGIN + place * (SIDE + GAP), top)
            sheet.paste(_picture(split, images[row]), corner)
            _write(draw, corner, [_numbers(share), split.source(images[row])])
        if len(shares) > COLUMNS:
            rest = one.weights[:, COLUMNS:].sum(dim=1).tolist()
            corner = (MARGIN + COLUMNS * (SIDE + GAP), top)
            _write(draw, corner, [_numbers(rest), f"{len(shares) - COLUMNS} more"])
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def _picture(split: Split, index: int) -> Image.Image:
    """Return an image as the network sees it, in the size of the sheet."""
    return Image.fromarray(prepare(split[index], SIDE).image.permute(1, 2, 0).numpy())


def _numbers(shares: Sequence[float]) -> str:
    same = all(one == shares[0] for one in shares)
    return " | ".join(f"{one:.2f}" for one in (shares[:1] if same else shares))


def _write(draw: ImageDraw.ImageDraw, corner: tuple[int, int], lines: Sequence[str]) -> None:
    """Write below an image, the end of what is too long: names differ there."""
    left, top = corner
    for number, line in enumerate(lines):
        while draw.textlength(line) > SIDE:
            line = line[1:]
        draw.text((left, top + SIDE + number * TEXT), line, fill="black")
