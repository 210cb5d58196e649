from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fdmo_core.errors import RunFolderError
from fdmo_core.out_of_fold import fold_file, is_scored, read_out_of_fold

LABELS = torch.tensor([0, 1, 0, 1, 1])
KEPT = torch.tensor([4, 0, 3])


def scored(rows: list[int], kept: list[int]) -> dict[str, Tensor]:
    return {
        "rows": torch.tensor(rows),
        "logits": torch.tensor([[float(row), 0.0] for row in rows]),
        "kept_rows": torch.tensor(kept),
        "features": torch.tensor([[10.0 * row] for row in kept]),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file(scored([3, 0], [3, 0]), tmp_path / fold_file(0))
    save_file(scored([1, 4, 2], [4]), tmp_path / fold_file(1))
    return tmp_path


def test_scores_are_read_in_the_order_of_images_and_dictionary(folder: Path) -> None:
    found = read_out_of_fold(folder, 2, LABELS, KEPT)

    assert found.logits[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert found.features.flatten().tolist() == [40, 0, 30]
    held = found.held_out()
    assert held.logits[:, 0].tolist() == [4, 0, 3]
    assert held.labels.tolist() == [1, 0, 1]


def test_all_folds_must_be_there(folder: Path) -> None:
    assert is_scored(folder, 2)
    assert not is_scored(folder, 3)
    with pytest.raises(RunFolderError, match=r"Expected fold-0\.safetensors to fold-2\."):
        read_out_of_fold(folder, 3, LABELS, KEPT)


def test_an_image_that_the_dictionary_holds_must_be_among_them(folder: Path) -> None:
    with pytest.raises(RunFolderError, match="features of images that the dictionary holds"):
        read_out_of_fold(folder, 2, LABELS, torch.tensor([1]))
