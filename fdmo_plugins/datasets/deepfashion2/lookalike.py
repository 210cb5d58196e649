"""Draws garments into files that have the format of DeepFashion2."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fdmo_core import Visibility
from fdmo_plugins.datasets.annotated.drawing import Look, tail_counts
from fdmo_plugins.datasets.deepfashion2.categories import CATEGORIES, Category, mirrored_pairs
from fdmo_plugins.datasets.garments.drawing import Picture
from fdmo_plugins.datasets.garments.landmarks import LANDMARK_NAMES

SIZE = 224  # longer side of one garment's picture in pixels; small, to be drawn fast
TEST_SHARE = 0.2  # of each category's images
TWO_ITEMS_SHARE = 0.3  # of the images
UNMARKED = 25  # every so many images have no labelled landmark
OCCLUDED_CODE, VISIBLE_CODE = 1, 2

LOOKS = tuple(
    Look(cut, fabric, 0)
    for cut, fabric in (
        ("tee", "striped"),
        ("sweater", "knit"),
        ("tee", "denim"),
        ("sweater", "checked"),
        ("tee", "checked"),
        ("tee", "knit"),
        ("shorts", "denim"),
        ("trousers", "denim"),
        ("skirt", "checked"),
        ("dress", "striped"),
        ("dress", "knit"),
        ("dress", "checked"),
        ("dress", "denim"),
    )
)
"""Of each category."""


@dataclass(frozen=True)
class DrawnImage:
    """One image of a look-alike, before it is drawn.

    Attributes:
        number: Among the images of its folder, from 1.
        folder: train or validation.
        pair_id: Which images show the same garment.
        label: Id of the first garment's category, less one.
        seed: Decides how it looks.
    """

    number: int
    folder: str
    pair_id: int
    label: int
    seed: tuple[int, int]


def write_files(folder: Path, *, num_images: int, seed: int) -> None:
    """Write drawn images with their annotations; arguments as in ``Dataset.write_lookalike``.

    Raises:
        ConfigError: So few images make no data set.
    """
    counts = tail_counts(num_images, [category.num_items for category in CATEGORIES])
    for kind in ("train", "validation"):
        for part in ("image", "annos"):
            (folder / kind / part).mkdir(parents=True)
    for image in _planned(counts.tolist(), seed):
        rng = np.random.default_rng(image.seed)
        labels = [image.label]
        if rng.random() < TWO_ITEMS_SHARE:
            labels.append(int(rng.choice(len(counts), p=counts / counts.sum())))
        pictures = [LOOKS[label].draw(rng, size=SIZE) for label in labels]
        pixels, annotation = _put_together(image, labels, pictures)
        above, name = folder / image.folder, f"{image.number:06}"
        Image.fromarray(pixels).save(above / "image" / f"{name}.jpg", quality=90)
        (above / "annos" / f"{name}.json").write_text(json.dumps(annotation), encoding="utf-8")


def _planned(counts: Sequence[int], seed: int) -> Iterator[DrawnImage]:
    """Yield the images, category by category; pairs have one image and two in turn."""
    numbers = {"train": count(1), "validation": count(1)}
    for label, num_images in enumerate(counts):
        num_test = round(TEST_SHARE * num_images)
        for at in range(num_images):
            folder = "validation" if at < num_test else "train"
            pair_id = 10_000 * (label + 1) + 2 * (at // 3) + min(at % 3, 1)
            yield DrawnImage(
                next(numbers[folder]), folder, pair_id, label, (seed, pair_id * 3 + at)
            )


def _put_together(
    image: DrawnImage, labels: Sequence[int], pictures: Sequence[Picture]
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Return the pictures side by side, and what the annotation file says of them."""
    height = max(picture.image.shape[0] for picture in pictures)
    width = sum(picture.image.shape[1] for picture in pictures)
    pixels = np.full((height, width, 3), 255, dtype=np.uint8)
    annotation: dict[str, Any] = {"source": "shop", "pair_id": image.pair_id}
    left = 0
    for number, (label, picture) in enumerate(zip(labels, pictures, strict=True), 1):
        own_height, own_width = picture.image.shape[:2]
        pixels[:own_height, left : left + own_width] = picture.image
        landmarks = _landmarks(CATEGORIES[label], picture)
        if image.number % UNMARKED == UNMARKED - 1:
            landmarks[:] = 0
        landmarks[landmarks[:, 2] > 0, 0] += left
        annotation[f"item{number}"] = _item(label, picture, left, landmarks)
        left += own_width
    return pixels, annotation


def _item(label: int, picture: Picture, left: int, landmarks: NDArray[np.int64]) -> dict[str, Any]:
    """Return one garment as the file has it."""
    x1, y1, x2, y2 = (round(side) for side in picture.box)
    x1, x2 = x1 + left, x2 + left
    return {
        "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
        "scale": 2,
        "viewpoint": 2,
        "zoom_in": 1,
        "landmarks": landmarks.ravel().tolist(),
        "style": 1,
        "bounding_box": [x1, y1, x2, y2],
        "category_id": label + 1,
        "occlusion": 1,
        "category_name": CATEGORIES[label].name,
    }


def _landmarks(category: Category, picture: Picture) -> NDArray[np.int64]:
    """Return x, y and code of the category's landmarks, spread over the sides of the garment.

    What pairs up lies at one height on the left and on the right; what pairs with nothing lies
    between.

    Returns:
        Shape ``(K, 3)``.
    """
    parts = ("waist", "hem") if category.kind == "lower" else ("collar", "sleeve", "hem")
    left, right = (
        picture.landmarks[[LANDMARK_NAMES.index(f"{side} {part}") for part in parts]]
        for side in ("left", "right")
    )
    pairs = mirrored_pairs(category)
    marks = np.zeros((category.num_landmarks, 3), dtype=np.int64)
    for at, places in enumerate(pairs):
        for place, side in zip(places, (left, right), strict=True):
            marks[place - 1] = _mark(side, at / (len(pairs) - 1), picture)
    alone = sorted(
        set(range(1, category.num_landmarks + 1)) - {one for two in pairs for one in two}
    )
    for at, place in enumerate(alone):
        marks[place - 1] = _mark(
            (left + right) / np.float32(2), at / max(1, len(alone) - 1), picture
        )
    return marks


def _mark(side: NDArray[np.float32], share: float, picture: Picture) -> tuple[int, int, int]:
    """Return the landmark after a share of the way down a side, of shape ``(number of parts, 3)``.

    One outside the picture is not labelled.
    """
    at = share * (len(side) - 1)
    x, y = (round(float(np.interp(at, range(len(side)), side[:, axis]))) for axis in (0, 1))
    height, width = picture.image.shape[:2]
    if not (0 <= x < width and 0 <= y < height):
        return 0, 0, 0
    is_visible = side[round(at), 2] == Visibility.VISIBLE
    return x, y, VISIBLE_CODE if is_visible else OCCLUDED_CODE
