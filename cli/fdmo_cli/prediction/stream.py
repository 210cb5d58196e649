"""Classifies files in several threads, each of which decodes a batch and runs it."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdmo_core.errors import DataError
from fdmo_export.dials import TargetPrior
from fdmo_export.pictures import BATCH_PIXELS, read_picture
from fdmo_export.prediction import Prediction
from fdmo_export.runtime import OnnxClassifier

Pixels = NDArray[np.uint8]
Answers = list[tuple[str, Prediction | DataError]]


class PredictionSettings(NamedTuple):
    """How files are classified.

    Attributes:
        batch_size: Images at once at most, in each thread.
        workers: Threads that decode files and run the network.
        max_pixels: Width times height above which an image is refused.
        target_prior: As :meth:`fdmo_export.OnnxClassifier.predict` takes it.
        tau: Likewise.
    """

    batch_size: int
    workers: int
    max_pixels: int
    target_prior: TargetPrior | None = None
    tau: float | None = None


def predict_files(
    files: Iterable[str], classifier: OnnxClassifier, settings: PredictionSettings
) -> Iterator[Answers]:
    """Yield the answers of a batch at a time, in the order of the files.

    Threads work on whole batches, because threads within one run of a network wait for each other
    after each layer. So the classifier is to compute with one thread itself.

    Args:
        files: Names of image files.
        classifier: Takes whole images.
        settings: How.

    Yields:
        Each file with its answer, or with why it has none.
    """
    names = iter(files)
    ahead: deque[Future[Answers]] = deque()
    pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="predict")
    try:
        while True:
            while len(ahead) <= settings.workers and (part := _part(names, settings)):
                ahead.append(pool.submit(_answer_part, part, classifier, settings))
            if not ahead:
                return
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _part(names: Iterator[str], settings: PredictionSettings) -> list[str]:
    return list(islice(names, settings.batch_size))


def _answer_part(
    names: Sequence[str], classifier: OnnxClassifier, settings: PredictionSettings
) -> Answers:
    """Return the answers of some files; large images are not all held at once."""
    answers: Answers = []
    batch: list[tuple[str, Pixels | DataError]] = []
    pixels = 0
    for name in names:
        image = _decode(name, settings.max_pixels)
        batch.append((name, image))
        pixels += 0 if isinstance(image, DataError) else image.size // 3
        if pixels >= BATCH_PIXELS:
            answers += _answer(batch, classifier, settings)
            batch, pixels = [], 0
    return answers + _answer(batch, classifier, settings)


def _answer(
    batch: list[tuple[str, Pixels | DataError]],
    classifier: OnnxClassifier,
    settings: PredictionSettings,
) -> Answers:
    found = iter(
        classifier.predict(
            [image for _, image in batch if not isinstance(image, DataError)],
            target_prior=settings.target_prior,
            tau=settings.tau,
            batch_size=settings.batch_size,
            max_pixels=settings.max_pixels,
        )
    )
    return [(name, image if isinstance(image, DataError) else next(found)) for name, image in batch]


def _decode(name: str, max_pixels: int) -> Pixels | DataError:
    try:
        return read_picture(name, max_pixels=max_pixels)
    except DataError as error:
        return error
