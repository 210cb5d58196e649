"""Batches in several threads, in order and within bounds."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fdmo_cli.prediction.stream import PredictionSettings, predict_files
from fdmo_core.errors import DataError
from fdmo_export import OnnxClassifier, Prediction

SETTINGS = PredictionSettings(batch_size=4, workers=2, max_pixels=100_000_000)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Eleven images of three sizes; the fourth and the last are none."""
    rng = np.random.default_rng(0)
    for number in range(11):
        size = (20 + 7 * (number % 3), 30, 3)
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_text("no image")
    (tmp_path / "10.png").unlink()
    return [str(tmp_path / f"{number}.png") for number in range(11)]


def test_answers_come_a_batch_at_a_time_as_if_each_were_alone(
    files: list[str], onnx_file: Path
) -> None:
    classifier = OnnxClassifier(onnx_file, provider="cpu")

    batches = list(predict_files(files, classifier, SETTINGS))

    assert [len(one) for one in batches] == [4, 4, 3]
    assert [name for one in batches for name, _ in one] == files
    for name, answer in (pair for one in batches for pair in one):
        if isinstance(answer, DataError):
            assert name in (files[3], files[10])
        else:
            (alone,) = classifier.predict(name)
            np.testing.assert_allclose(answer.probabilities, alone.probabilities, atol=0.02)


def test_no_more_than_a_batch_for_each_thread_is_read_ahead(
    tmp_path: Path, onnx_file: Path
) -> None:
    Image.new("RGB", (20, 30)).save(tmp_path / "one.png")
    taken = []

    def names() -> Iterator[str]:
        for _ in range(40):
            taken.append(1)
            yield str(tmp_path / "one.png")

    batches = predict_files(names(), OnnxClassifier(onnx_file, provider="cpu"), SETTINGS)
    next(batches)

    assert len(taken) <= SETTINGS.batch_size * (SETTINGS.workers + 1)
    batches.close()  # type: ignore[attr-defined]  # a generator


def test_large_images_are_not_piled_up(
    tmp_path: Path, onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (30, 20)).save(tmp_path / "large.png")
    monkeypatch.setattr("fdmo_cli.prediction.stream.BATCH_PIXELS", 1200)  # two such images
    classifier = OnnxClassifier(onnx_file, provider="cpu")
    sizes = []
    predict = classifier.predict

    def counted(images: list[Any], **_: Any) -> list[Prediction]:
        sizes.append(len(images))
        return predict(images)

    monkeypatch.setattr(classifier, "predict", counted)

    (answers,) = predict_files([str(tmp_path / "large.png")] * 4, classifier, SETTINGS)

    assert len(answers) == 4
    assert max(sizes) == 2


def test_no_thread_is_left_when_the_reader_stops(files: list[str], onnx_file: Path) -> None:
    classifier = OnnxClassifier(onnx_file, provider="cpu")
    before = threading.active_count()
    batches = predict_files(files, classifier, SETTINGS)
    next(batches)

    batches.close()  # type: ignore[attr-defined]  # a generator

    assert threading.active_count() == before


def test_no_file_is_no_batch(onnx_file: Path) -> None:
    assert list(predict_files([], OnnxClassifier(onnx_file, provider="cpu"), SETTINGS)) == []
