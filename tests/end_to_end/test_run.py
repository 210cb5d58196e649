"""From images to onnxruntime, by the installed command alone."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdmo_core.samples import Sample
from fdmo_export.runtime import OnnxClassifier

COLOURS = {"amber": (230, 160, 20), "blue": (20, 60, 220), "green": (30, 190, 60)}
COUNTS = {"amber": 60, "blue": 24, "green": 10}
SMALL = (
    *("texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]", "data.image_size=24"),
    *("model.feature_ratio=16", "phase1.batch_size=16", "rebalancer.samples_per_class=4"),
    *("generator.hidden=[16, 16]", "generator.discriminator_hidden=[16, 16]"),
    *("phase1.shape_epochs=1", "rebalancer.epochs=2", "metrics.bootstrap_samples=100"),
)
OF_IMAGES = (
    "phase1.epochs=16",
    "phase1.learning_rate=0.01",
)
OF_GARMENTS = (
    *("data.largest_class=12", "data.imbalance_ratio=4", "phase1.epochs=1"),
    *("data.val_per_class=2", "data.test_per_class=2"),
)


def picture(name: str, rng: np.random.Generator) -> Image.Image:
    """Return a small picture of noise around the colour of its class."""
    noise = rng.integers(-40, 41, (int(rng.integers(16, 33)), 24, 3))
    return Image.fromarray(np.clip(COLOURS[name] + noise, 0, 255).astype(np.uint8))


def write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in COUNTS.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            picture(name, rng).save(folder / name / f"{index}.jpg")


def fdmo(folder: Path, *arguments: str) -> None:
    """Run the installed command in a folder, and see that it succeeds."""
    command = [str(Path(sys.executable).with_name("fdmo")), *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def train_and_export(folder: Path, *options: str) -> OnnxClassifier:
    fdmo(folder, "train", "--plugin", "convexgan", "--out", "run", "--device", "cpu", *options)
    fdmo(folder, "export", "onnx", "run")
    return OnnxClassifier(folder / "run" / "export" / "model.onnx")


def settings(*values: str) -> list[str]:
    return [part for value in (*SMALL, *values) for part in ("--set", value)]


@pytest.fixture(scope="module")
def of_images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OnnxClassifier]:
    folder = tmp_path_factory.mktemp("images")
    write_images(folder / "pictures")
    return folder, train_and_export(folder, "--data", "pictures", *settings(*OF_IMAGES))


def test_a_folder_of_images_becomes_a_file_that_knows_its_classes(
    of_images: tuple[Path, OnnxClassifier],
) -> None:
    _, classifier = of_images

    assert classifier.class_names == ("amber", "blue", "green")
    assert classifier.metadata["class_counts"] == [42, 17, 7]  # a tenth to val, a fifth to test


def test_the_file_names_pictures_that_it_never_saw(
    of_images: tuple[Path, OnnxClassifier],
) -> None:
    _, classifier = of_images
    rng = np.random.default_rng(1)
    names = [name for name in COLOURS for _ in range(5)]

    samples = [Sample(np.array(picture(name, rng)), label=0) for name in names]
    rows = [classifier.run(one.image[np.newaxis])["probabilities"][0] for one in samples]
    best = [row.argmax() for row in rows]

    assert [classifier.class_names[label] for label in best] == names


def test_phase_2_is_recorded_and_harms_nothing_that_is_learnt_already(
    of_images: tuple[Path, OnnxClassifier],
) -> None:
    folder, _ = of_images

    test = json.loads((folder / "run" / "metrics.json").read_text())["test"]

    assert test["after"]["samples"] == 12 + 5 + 2
    assert test["after"]["acsa"] == 1.0


def test_garments_become_a_file_in_the_same_way(tmp_path: Path) -> None:
    classifier = train_and_export(tmp_path, *settings(*OF_GARMENTS))

    images = np.zeros((2, 30, 20, 3), dtype=np.uint8)
    probabilities = classifier.run(images)["probabilities"]
    assert probabilities.shape == (2, len(classifier.class_names)) == (2, 12)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    parity = json.loads((tmp_path / "run" / "export" / "parity.json").read_text())
    assert [one["label_flips"] for one in parity["parity"]["network"]] == [0, 0, 0]
