import numpy as np
import pytest

from fdmo_core import DataError
from fdmo_plugins.datasets.annotated.classes import kept_classes

NAMES = ("tee", "cape", "skirt", "robe")
LABELS = np.array([0, 0, 2, 3, 3, 3])
SPLITS = np.array([0, 1, 0, 1, 2, 2], dtype=np.int8)


def test_categories_without_training_images_are_dropped_and_named() -> None:
    kept = kept_classes(NAMES, LABELS, SPLITS)

    assert kept.names == ("tee", "skirt")
    assert kept.new_labels.tolist() == [0, -1, 1, -1]
    start = "The category has no usable training image and was left out"
    assert kept.dropped == {
        "category cape": f"{start}.",
        "category robe": f"{start}, with its 3 image(s) of other splits.",
    }


def test_empty_categories_can_be_kept() -> None:
    kept = kept_classes(NAMES, LABELS, SPLITS, keep_empty=True)

    assert (kept.names, kept.new_labels.tolist(), kept.dropped) == (NAMES, [0, 1, 2, 3], {})


def test_one_category_is_not_enough() -> None:
    with pytest.raises(DataError, match=r"has usable images of 1 categories: tee\. Expected at "):
        kept_classes(NAMES, LABELS, np.array([0, 0, 1, 1, 1, 1], dtype=np.int8))
