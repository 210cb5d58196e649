"""How far each process has come that fills a cache, for a run that is killed to go on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fdmo_core.files import write_json
from fdmo_core.json_files import read_json
from fdmo_core.map_store import MapStore, StoreLayout
from fdmo_core.world import World

FORMAT_VERSION = 1


class CacheProgress:
    """How far this process has come with its share of a cache.

    Args:
        folder: Of the unfinished cache.
        origin: What decides its content.
        layout: What decides its size.
        world: The processes.
        batch_size: Rows that are written at a time.
    """

    def __init__(
        self,
        folder: Path,
        origin: Mapping[str, Any],
        layout: StoreLayout,
        world: World,
        *,
        batch_size: int,
    ) -> None:
        self._folder = folder
        self._file = folder / f"progress-{world.rank}.json"
        self._layout = layout
        self._facts = {
            "format": FORMAT_VERSION,
            "origin": dict(origin),
            "layout": layout._asdict(),
            "processes": world.size,
            "batch_size": batch_size,
        }

    def read(self) -> int | None:
        """Return how many batches are done; None where nothing is there to go on with."""
        try:
            content = read_json(self._file)
            done = int(content.pop("done"))
            if content != self._facts or done < 0:
                return None
            sizes = self._layout.file_sizes()
            if any((self._folder / name).stat().st_size != sizes[name] for name in sizes):
                return None
            return done
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return None

    def keep(self, store: MapStore, done: int) -> None:
        """Note how many batches are done, once their rows are on the disk."""
        store.flush()
        write_json(self._file, {**self._facts, "done": done})


def remove_progress(folder: Path) -> None:
    """Remove what the processes noted, once the cache has its name; half a note as well."""
    for file in folder.glob("*progress-*.json*"):
        file.unlink()
