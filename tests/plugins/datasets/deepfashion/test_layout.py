import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fdmo_core import ConfigError, DataError, Splits
from fdmo_plugins.datasets.deepfashion.dataset import DeepFashionConfig, DeepFashionDataset

Load = Callable[..., Splits]


@pytest.mark.parametrize(
    "path",
    [
        "Anno/list_category_cloth.txt",
        "Anno/list_category_img.txt",
        "Anno/list_bbox.txt",
        "Anno/list_landmarks.txt",
        "Eval/list_eval_partition.txt",
    ],
)
def test_a_missing_list_is_an_error_that_says_what_is_expected_where(
    path: str, root: Path, load: Load
) -> None:
    (root / path).unlink()

    with pytest.raises(DataError) as caught:
        load(root)

    assert str(caught.value).startswith(f"'{root / path}' is not there. Expected Anno_coarse/ (or")


@pytest.mark.parametrize(("folder", "kind"), [("img", "images"), ("Anno", "lists")])
def test_a_missing_folder_is_an_error(folder: str, kind: str, root: Path, load: Load) -> None:
    shutil.rmtree(root / folder)

    with pytest.raises(DataError, match=rf"has no folder of DeepFashion's {kind}\. Expected Anno"):
        load(root)


def test_a_root_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"^data\.root is empty\. Expected the folder with Deep"):
        DeepFashionDataset(DeepFashionConfig(), seed=0).load()
