"""Classifies files one after the other, the next ones decoded meanwhile."""

from collections import deque
from collections.abc import Iterable, Iterator
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


class PredictionSettings(NamedTuple):
    """How files are classified.

    Attributes:
        batch_size: Images at once at most.
        decoders: Threads that decode files.
        max_pixels: Width times height above which an image is refused.
        target_prior: As :meth:`fdmo_export.OnnxClassifier.predict` takes it.
        tau: Likewise.
    """

    batch_size: int
    decoders: int
    max_pixels: int
    target_prior: TargetPrior | None = None
    tau: float | None = None


def predict_files(
    files: Iterable[str], classifier: OnnxClassifier, settings: PredictionSettings
) -> Iterator[list[tuple[str, Prediction | DataError]]]:
    """Yield the answers of a batch at a time, in the order of the files.

    Args:
        files: Names of image files.
        classifier: Takes whole images.
        settings: How.

    Yields:
        Each file with its answer, or with why it has none.
    """
    batch: list[tuple[str, Pixels | DataError]] = []
    pixels = 0
    for name, image in decode_ahead(files, settings):
        batch.append((name, image))
        pixels += 0 if isinstance(image, DataError) else image.size // 3
        if len(batch) == settings.batch_size or pixels >= BATCH_PIXELS:
            yield _answer(batch, classifier, settings)
            batch, pixels = [], 0
    if batch:
        yield _answer(batch, classifier, settings)


def _answer(
    batch: list[tuple[str, Pixels | DataError]],
    classifier: OnnxClassifier,
    settings: PredictionSettings,
) -> list[tuple[str, Prediction | DataError]]:
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


def decode_ahead(
    files: Iterable[str], settings: PredictionSettings
) -> Iterator[tuple[str, Pixels | DataError]]:
    """Yield each file with its pixels, or with why it has none, decoded ahead in threads.

    At most a batch is held ready, less where images are large.

    Args:
        files: Names of image files.
        settings: How many threads and images.
    """
    names = iter(files)
    ahead: deque[tuple[str, Future[Pixels | DataError]]] = deque()
    pool = ThreadPoolExecutor(settings.decoders, thread_name_prefix="decode")
    try:
        while True:
            for name in islice(names, _room(ahead, settings)):
                ahead.append((name, pool.submit(_decode, name, settings.max_pixels)))
            if not ahead:
                return
            name, future = ahead.popleft()
            yield name, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _room(
    ahead: deque[tuple[str, Future[Pixels | DataError]]], settings: PredictionSettings
) -> int:
    """Return how many more files may be decoded ahead."""
    ready = [one.result() for _, one in ahead if one.done()]
    pixels = sum(one.size // 3 for one in ready if not isinstance(one, DataError))
    if pixels >= BATCH_PIXELS and ahead:
        return 0
    waiting = len(ahead) - len(ready)
    return min(2 * settings.decoders - waiting, settings.batch_size + 1 - len(ahead))


def _decode(name: str, max_pixels: int) -> Pixels | DataError:
    try:
        return read_picture(name, max_pixels=max_pixels)
    except DataError as error:
        return error
