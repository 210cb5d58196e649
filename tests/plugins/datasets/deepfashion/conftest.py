"""A small copy of DeepFashion by hand: three images, of a tee, a skirt and a dress."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fdmo_core import Splits
from fdmo_plugins.datasets.deepfashion.categories import CATEGORIES
from fdmo_plugins.datasets.deepfashion.dataset import DeepFashionConfig, DeepFashionDataset

Load = Callable[..., Splits]

LISTS = {
    "Anno/list_category_cloth.txt": [
        "category_name  category_type",
        *(f"{one.name}   {one.clothes_type}" for one in CATEGORIES),
    ],
    "Anno/list_category_img.txt": [
        "image_name  category_label",
        "img/Plain_Tee/img_00000001.jpg   18",
        "img/Plain_Skirt/img_00000001.jpg  33",
        "img/Plain_Dress/img_00000001.jpg  41",
    ],
    "Anno/list_bbox.txt": [
        "image_name  x_1  y_1  x_2  y_2",
        "img/Plain_Tee/img_00000001.jpg   001 002 020 018",
        "img/Plain_Skirt/img_00000001.jpg  000 000 021 019",
        "img/Plain_Dress/img_00000001.jpg  003 004 015 016",
    ],
    "Anno/list_landmarks.txt": [
        "image_name  clothes_type  landmark_visibility_1  landmark_location_x_1",
        "img/Plain_Tee/img_00000001.jpg   1 0 001 002 1 003 004 2 000 000 0 007 008 0 009 010"
        " 0 011 012",
        "img/Plain_Skirt/img_00000001.jpg  2 0 001 002 0 003 004 0 005 006 1 007 008",
        "img/Plain_Dress/img_00000001.jpg  3" + " 2 000 000" * 8,
    ],
    "Eval/list_eval_partition.txt": [
        "image_name  evaluation_status",
        "img/Plain_Tee/img_00000001.jpg   train",
        "img/Plain_Skirt/img_00000001.jpg  train",
        "img/Plain_Dress/img_00000001.jpg  test",
    ],
}


def write_list(root: Path, path: str, lines: list[str]) -> None:
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_text("\n".join([str(len(lines) - 1), *lines]) + "\n", encoding="utf-8")


def change_line(root: Path, path: str, number: int, text: str) -> None:
    lines = (root / path).read_text(encoding="utf-8").splitlines()
    lines[number - 1] = text
    (root / path).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, lines in LISTS.items():
        write_list(tmp_path, path, lines)
    for product in ("Plain_Tee", "Plain_Skirt", "Plain_Dress"):
        (tmp_path / "img" / product).mkdir(parents=True)
        Image.new("RGB", (22, 20), (len(product), 0, 0)).save(
            tmp_path / "img" / product / "img_00000001.jpg"
        )
    return tmp_path


@pytest.fixture
def load() -> Load:
    def load_root(root: Path, **options: Any) -> Splits:
        return DeepFashionDataset(DeepFashionConfig(root=str(root), **options), seed=0).load()

    return load_root


@pytest.fixture
def change() -> Callable[[Path, str, int, str], None]:
    return change_line
