"""What every registered data set must do, whichever plugin supplies it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.testing import Case, cases_for

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # of a Debian package
VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "garments": [{"largest_class": 20, "imbalance_ratio": 10.0}],
    "fashion-mnist": [{}],
    "digits": [{}],
    "folder": [{}, {"val_share": 0.0}],
    "table": [{}, {"val_share": 0.0}],
    "features": [{}, {"val_share": 0.0}],
    "deepfashion": [{}, {"keep_empty_categories": True}],
    "deepfashion2": [{}, {"landmark_slots": 294}],
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    for name, count in {"coat": 12, "bag": 5, "dress": 1}.items():
        (root / name).mkdir()
        for number in range(count):
            Image.new("RGB", (9, 7), (number, 40, 0)).save(root / name / f"{number}.png")
    lines = [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.rglob("*.png"))]
    (root / "labels.csv").write_text("\n".join(["path,label", *lines]))
    return root


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("features") / "features.npz"
    rng = np.random.default_rng(0)
    np.savez(file, X=rng.normal(size=(30, 6)), y=np.repeat(["a", "b", "c"], [20, 9, 1]))
    return file


@pytest.fixture(scope="module")
def lookalikes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The folders of data sets that can draw their own files, by name."""
    folders = {}
    for one in Registry(load_plugins()).components(KIND_OF_SECTION["data"]):
        if one.name.startswith("deepfashion"):
            folders[one.name] = tmp_path_factory.mktemp(one.name)
            one.component.write_lookalike(folders[one.name], num_images=60, seed=0)
    return folders


@pytest.mark.parametrize(
    "case", cases_for(Registry(load_plugins()), "dataset", variants=VARIANTS), ids=str
)
def test_keeps_to_the_contract_of_a_dataset(
    case: Case, images: Path, features: Path, lookalikes: Mapping[str, Path]
) -> None:
    if case.component.name == "fashion-mnist" and not FASHION_MNIST.is_dir():
        pytest.skip("the package dataset-fashion-mnist is not installed")

    own = {"folder": {"root": str(images)}, "table": {"file": str(images / "labels.csv")}}
    own |= {"features": {"file": str(features)}}
    own |= {name: {"root": str(folder)} for name, folder in lookalikes.items()}
    case.run(**own.get(case.component.name, {}))
