import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdmo_core import DataError
from fdmo_plugins.datasets.annotated.items import Items, packed
from fdmo_plugins.datasets.annotated.split import AnnotatedSplit


def split(root: Path, box: tuple[int, int, int, int], number: int = 0) -> AnnotatedSplit:
    Image.new("RGB", (30, 20), (9, 0, 0)).save(root / "a.png")
    items = Items(
        paths=packed(["a.png"]),
        numbers=np.array([number], dtype=np.int16),
        labels=np.array([4]),
        sizes=np.array([70]),
        boxes=np.array([box], dtype=np.float32),
        points=np.array([[3, 4, 2]], dtype=np.float32),
        slots=np.array([1], dtype=np.int16),
        ends=np.array([1]),
    )
    return AnnotatedSplit(root, items, 2, 1000)


def test_a_sample_has_all_that_is_known(tmp_path: Path) -> None:
    sample = pickle.loads(pickle.dumps(split(tmp_path, (1, 2, 50, 19))))[0]

    assert sample.image.shape == (20, 30, 3)
    assert (sample.label, sample.box) == (4, (1.0, 2.0, 50.0, 19.0))
    assert sample.landmarks.tolist() == [[0.0, 0.0, 0.0], [3.0, 4.0, 2.0]]


def test_a_box_outside_its_image_is_an_error_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"^The box 30, 2, 50, 19 of 'a\.png item3' lies outside its image of 30 x"
    ):
        split(tmp_path, (30, 2, 50, 19), number=3)[0]


def test_images_of_too_many_pixels_are_refused(tmp_path: Path) -> None:
    one = split(tmp_path, (1, 2, 5, 19))

    with pytest.raises(DataError, match=r"has 30 x 20 pixels\. Expected at most 599"):
        AnnotatedSplit(one.root, one.items, 2, 599)[0]
