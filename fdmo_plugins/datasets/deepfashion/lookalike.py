"""Draws garments into files that have the format of DeepFashion's category benchmark."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from fdmo_core import Visibility
from fdmo_plugins.datasets.annotated.drawing import Look, looks, tail_counts
from fdmo_plugins.datasets.deepfashion import layout as places
from fdmo_plugins.datasets.deepfashion.categories import (
    CATEGORIES,
    FULL,
    LOWER,
    SLOTS_OF_TYPE,
    UPPER,
    Category,
)
from fdmo_plugins.datasets.deepfashion.layout import Layout
from fdmo_plugins.datasets.garments.cuts import LOWER_CUTS, UPPER_CUTS
from fdmo_plugins.datasets.garments.drawing import Picture

SIZE = 256  # longer side in pixels; the released set has 300, which takes a third longer to draw
IMAGES_PER_PRODUCT = 6
HELD_OUT_SHARE = 0.14  # of each class, once to validate and once to test, as in the released set
UNMARKED = 25  # every so many images show none of their landmarks
LISTED_WORD, WORD_ON_DISK = "A-Line", "A-line"  # the case trap of the released set
CODES = {Visibility.VISIBLE: 0, Visibility.OCCLUDED: 1, Visibility.TRUNCATED: 2}
CUTS = {UPPER: UPPER_CUTS, LOWER: LOWER_CUTS, FULL: ("dress",)}


@dataclass(frozen=True)
class DrawnImage:
    """One image of a look-alike, before it is drawn.

    Attributes:
        number: Among all images, from 0.
        category_id: From 1.
        listed: Its path, as the lists have it.
        split: train, val or test.
    """

    number: int
    category_id: int
    listed: str
    split: str

    @property
    def category(self) -> Category:
        """What it shows."""
        return CATEGORIES[self.category_id - 1]


def write_files(
    folder: Path,
    *,
    num_images: int,
    seed: int,
    layout: Literal["new", "old"] = "new",
    has_variation_type: bool = False,
) -> None:
    """Write drawn images with their lists; none of attributes, which nothing here reads.

    Args:
        folder: An existing, empty folder.
        num_images: How many images, over all splits.
        seed: Decides what is drawn.
        layout: Which release's folders.
        has_variation_type: Whether rows of landmarks have the column of other benchmarks.

    Raises:
        ConfigError: So few images make no data set.
    """
    places_of = Layout(folder, *(("Anno_coarse", "Img") if layout == "new" else ("Anno", "")))
    counts = tail_counts(num_images, [one.num_images for one in CATEGORIES])
    images = list(_planned(counts.tolist()))
    looks_of = dict(_looks())
    boxes, landmarks = [], []
    for image in images:
        rng = np.random.default_rng((seed, image.number))
        picture = looks_of[image.category_id].draw(rng, size=SIZE)
        on_disk = image.listed.replace(LISTED_WORD, WORD_ON_DISK)
        _save(picture, folder / places_of.image_path(on_disk))
        boxes.append([f"{round(side):03}" for side in picture.box])
        landmarks.append(_landmark_cells(image, picture, has_variation_type))
    _write_lists(places_of, images, boxes, landmarks)


def _planned(counts: Sequence[int]) -> Iterator[DrawnImage]:
    """Yield the images, product by product; each split has images of the common categories."""
    numbers = count()
    for category_id, num_images in enumerate(counts, 1):
        num_held_out = round(HELD_OUT_SHARE * num_images)
        for at in range(num_images):
            product, position = divmod(at, IMAGES_PER_PRODUCT)
            split = "train" if at >= 2 * num_held_out else ("val", "test")[at % 2]
            listed = f"img/{_product(category_id, product)}/img_{position + 1:08}.jpg"
            yield DrawnImage(next(numbers), category_id, listed, split)


def _product(category_id: int, product: int) -> str:
    """Return the name of a folder; every third one of skirts and dresses is a trap."""
    name = CATEGORIES[category_id - 1].name
    is_trap = name in {"Dress", "Skirt"} and product % 3 == 0
    return f"{LISTED_WORD if is_trap else 'Drawn'}_Number_{product + 1}_{name}"


def _looks() -> Iterator[tuple[int, Look]]:
    """Yield the look of each category that has images, by id."""
    for clothes_type, cuts in CUTS.items():
        ids = [
            at
            for at, one in enumerate(CATEGORIES, 1)
            if one.clothes_type == clothes_type and one.num_images
        ]
        yield from zip(ids, looks(cuts), strict=False)


def _save(picture: Picture, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.image).save(file, quality=90)


def _landmark_cells(image: DrawnImage, picture: Picture, has_variation_type: bool) -> list[str]:
    """Return the clothes type and the landmarks as a row has them."""
    cells = [str(image.category.clothes_type), *["1"] * has_variation_type]
    for slot in SLOTS_OF_TYPE[image.category.clothes_type]:
        x, y, visibility = picture.landmarks[slot].tolist()
        is_cut_off = visibility <= Visibility.TRUNCATED or image.number % UNMARKED == UNMARKED - 1
        code = CODES[Visibility.TRUNCATED if is_cut_off else Visibility(int(visibility))]
        place = (0, 0) if is_cut_off else (max(0, round(x)), max(0, round(y)))
        cells += [str(code), *(f"{one:03}" for one in place)]
    return cells


def _write_lists(
    layout: Layout,
    images: Sequence[DrawnImage],
    boxes: Sequence[list[str]],
    landmarks: Sequence[list[str]],
) -> None:
    names = [image.listed for image in images]
    triple = "landmark_visibility_{0}  landmark_location_x_{0}  landmark_location_y_{0}"
    triples = "  ".join(triple.format(at) for at in range(1, 9))
    variation = "variation_type  " if landmarks and len(landmarks[0]) % 3 == 2 else ""
    _write_list(
        layout,
        places.CATEGORIES,
        "category_name  category_type",
        [(one.name, [str(one.clothes_type)]) for one in CATEGORIES],
    )
    for name, header, cells in (
        (places.LABELS, "category_label", [[f"{image.category_id}"] for image in images]),
        (places.BOXES, "x_1  y_1  x_2  y_2", boxes),
        (places.LANDMARKS, f"clothes_type  {variation}{triples}", landmarks),
        (places.PARTITION, "evaluation_status", [[image.split] for image in images]),
    ):
        _write_list(layout, name, f"image_name  {header}", zip(names, cells, strict=True))


def _write_list(
    layout: Layout, name: str, header: str, rows: Iterable[tuple[str, list[str]]]
) -> None:
    lines = [f"{first:<70} {' '.join(cells)}" for first, cells in rows]
    file = layout.root / layout.list_path(name)
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join([str(len(lines)), header, *lines]) + "\n", encoding="utf-8")
