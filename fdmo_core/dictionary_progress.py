"""Keeps what a dictionary holds while it is built, for a run that is killed to go on.

Which rows a dictionary holds does not depend on the parts that they come in, so one that is built
from the rows of another and the batches that follow is the one that all batches would have made.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError

from fdmo_core.checkpoint import CheckpointConfig, Interval
from fdmo_core.interfaces import FeatureBatch, FeatureDictionary
from fdmo_core.journal import Journal
from fdmo_core.sealed import read_sealed, write_sealed
from fdmo_core.stopping import StopRequest

FORMAT_VERSION = 1


class DictionaryProgress:
    """How far one process's share of a dictionary has come.

    Args:
        file: Where rows are kept, of this process alone; None keeps none.
        config: How often; a batch of images counts as a step.
        processes: How many share the images.
        stop: Whether the run was asked to stop.

    Attributes:
        done: Batches of the share that are behind it.
        is_whole: Whether that is all of them.
    """

    def __init__(
        self,
        file: Path | None = None,
        config: CheckpointConfig | None = None,
        *,
        processes: int = 1,
        stop: StopRequest | None = None,
    ) -> None:
        self.done = 0
        self.is_whole = False
        self._file = file
        self._facts = {"format": FORMAT_VERSION, "processes": processes}
        self._interval = Interval(config or CheckpointConfig())
        self._stop = stop or StopRequest()

    def load(self, journal: Journal) -> list[FeatureBatch]:
        """Return the rows of the batches that are done; none where nothing usable was kept."""
        if self._file is None or not self._file.exists():
            return []
        try:
            head, tensors = read_sealed(self._file)
        except (OSError, ValueError, SafetensorError) as error:
            journal.notice(f"{self._file} cannot be read: {error}. The dictionary is built anew.")
            return []
        if any(head.get(key) != value for key, value in self._facts.items()):
            return []  # the shares were others
        self.done = int(head["done"])
        journal.notice(f"Taken up from {self._file}: {self.done} batches of the dictionary.")
        return [FeatureBatch(*(tensors[name] for name in FeatureBatch._fields))]

    def until_due(self, batches: Iterable[FeatureBatch]) -> Iterator[FeatureBatch]:
        """Yield batches until they are all, or what there is should be kept."""
        for batch in batches:
            yield batch
            self.done += 1
            if self._file is not None and (self._is_stopped or self._interval.is_over(self.done)):
                return
        self.is_whole = True

    def keep(self, dictionary: FeatureDictionary) -> None:
        """Write what the dictionary holds of the batches that are done.

        Raises:
            Interrupted: The run was asked to stop.
        """
        assert self._file is not None
        columns = map(torch.cat, zip(*dictionary.rows(), strict=True))
        tensors = dict(zip(FeatureBatch._fields, columns, strict=True))
        write_sealed(self._file, {**self._facts, "done": self.done}, tensors)
        self._interval.begin()
        self._stop.obey(f"after {self.done} batches of the dictionary")

    @property
    def _is_stopped(self) -> bool:
        return self._stop.signal is not None
