"""Decoding ahead of the session, within bounds."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdmo_cli.prediction.stream import PredictionSettings, decode_ahead, predict_files
from fdmo_core.errors import DataError
from fdmo_export import OnnxClassifier
from fdmo_export.pictures import BATCH_PIXELS

SETTINGS = PredictionSettings(batch_size=4, decoders=2, max_pixels=100_000_000)


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


def test_images_come_in_the_order_of_their_files_with_what_is_wrong(files: list[str]) -> None:
    found = list(decode_ahead(files, SETTINGS))

    assert [name for name, _ in found] == files
    assert [name for name, one in found if isinstance(one, DataError)] == [files[3], files[10]]
    for name, one in found:
        if not isinstance(one, DataError):
            np.testing.assert_array_equal(one, np.asarray(Image.open(name)))


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


def test_no_more_than_a_batch_is_read_ahead(files: list[str]) -> None:
    taken = []

    def names() -> Iterator[str]:
        for name in files:
            taken.append(name)
            yield name

    ahead = decode_ahead(names(), SETTINGS)
    next(ahead)

    assert len(taken) <= SETTINGS.batch_size + 1
    ahead.close()  # type: ignore[attr-defined]  # a generator


def test_large_images_are_not_piled_up(tmp_path: Path) -> None:
    side = 1 + int((BATCH_PIXELS / 2) ** 0.5)  # two of them are as many as a batch may have
    Image.new("L", (side, side)).save(tmp_path / "large.png")
    taken = []

    def names() -> Iterator[str]:
        for _ in range(40):
            taken.append(1)
            yield str(tmp_path / "large.png")

    settings = SETTINGS._replace(batch_size=32, decoders=1)
    for number, _ in enumerate(decode_ahead(names(), settings), start=1):
        assert len(taken) - number <= 2 + 2 * settings.decoders
        if number == 6:
            break


def test_no_thread_is_left_when_the_reader_stops(files: list[str]) -> None:
    before = threading.active_count()
    ahead = decode_ahead(files, SETTINGS)
    next(ahead)

    ahead.close()  # type: ignore[attr-defined]  # a generator

    assert threading.active_count() == before


def test_no_file_is_no_batch(onnx_file: Path) -> None:
    assert list(predict_files([], OnnxClassifier(onnx_file, provider="cpu"), SETTINGS)) == []
