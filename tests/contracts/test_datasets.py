"""What every registered data set must do, whichever plugin supplies it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.testing import Case, cases_for

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # of a Debian package
VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "garments": [{"largest_class": 20, "imbalance_ratio": 10.0}],
    "fashion-mnist": [{}],
    "folder": [{}, {"val_share": 0.0}],
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    for name, count in {"coat": 12, "bag": 5, "dress": 1}.items():
        (root / name).mkdir()
        for number in range(count):
            Image.new("RGB", (9, 7), (number, 40, 0)).save(root / name / f"{number}.png")
    return root


@pytest.mark.parametrize(
    "case", cases_for(Registry(load_plugins()), "dataset", variants=VARIANTS), ids=str
)
def test_keeps_to_the_contract_of_a_dataset(case: Case, images: Path) -> None:
    if case.component.name == "fashion-mnist" and not FASHION_MNIST.is_dir():
        pytest.skip("the package dataset-fashion-mnist is not installed")

    case.run(**({"root": str(images)} if case.component.name == "folder" else {}))
