"""A table of a million rows, or a dictionary of 500 classes at its cap: seconds and memory.

The table names 1,000 image files, each a thousand times. The dictionary gets 2,100 features of each
class and keeps the default of 2,000; a feature has 128 numbers, since 4,096 need 46 GiB.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fdmo_core.epoch_order import epoch_rows
from fdmo_core.interfaces import FeatureBatch
from fdmo_plugins.datasets.table.dataset import TableConfig, TableDataset
from fdmo_plugins.dictionaries.memory import MemoryDictionary, MemoryDictionaryConfig

ROWS, FILES, TABLE_CLASSES = 1_000_000, 1_000, 100
CLASSES, OFFERED, FEATURES = 500, 2_100, 128


def peak() -> float:
    """Return the most memory that the process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table() -> None:
    """Open a table and draw the order of an epoch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = np.zeros((8, 8, 3), dtype=np.uint8)
        for number in range(FILES):
            Image.fromarray(pixels).save(folder / f"{number}.png")
        with (folder / "table.csv").open("w") as file:
            file.write("path,label\n")
            file.writelines(f"{row % FILES}.png,c{row % TABLE_CLASSES}\n" for row in range(ROWS))
        before, begin = peak(), time.perf_counter()
        config = TableConfig(file=str(folder / "table.csv"), root=name)
        splits = TableDataset(config, seed=0).load()
        opened = time.perf_counter() - begin
        print(f"opened in {opened:.1f} s, {before:.0f} MiB before, {peak():.0f} MiB at the peak")
        begin = time.perf_counter()
        labels = torch.from_numpy(splits.train.labels)
        rows = epoch_rows(labels, "balanced", torch.Generator().manual_seed(0))
        seconds = time.perf_counter() - begin
        print(f"order of {len(rows)} rows in {seconds:.2f} s, {peak():.0f} MiB at the peak")


def parts() -> Iterator[FeatureBatch]:
    """Yield one feature of every class at a time."""
    rng, labels = torch.Generator().manual_seed(0), torch.arange(CLASSES)
    for number in range(OFFERED):
        features = torch.randn(CLASSES, FEATURES, generator=rng)
        yield FeatureBatch(features, labels, number * CLASSES + labels)


def dictionary() -> None:
    """Fill a dictionary to its cap."""
    before, begin = peak(), time.perf_counter()
    kept = MemoryDictionary(
        MemoryDictionaryConfig(), num_classes=CLASSES, stream_dims=(FEATURES,), seed=0
    )
    kept.build(parts())
    size = CLASSES * 2_000 * FEATURES * 4 / 2**20
    print(
        f"{len(kept.sources)} rows in {time.perf_counter() - begin:.1f} s: {size:.0f} MiB of "
        f"features, {peak() - before:.0f} MiB more at the peak"
    )


if __name__ == "__main__":
    {"table": table, "dictionary": dictionary}[sys.argv[1]]()
