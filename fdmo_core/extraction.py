"""From images to a file of their features, by a trained network or by an extractor alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fdmo_core.batches import Batches, scale_pixels
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.data import require_input
from fdmo_core.errors import DataError
from fdmo_core.feature_file import UnfinishedFile, make_file, open_file
from fdmo_core.interfaces import Extractor
from fdmo_core.journal import Journal
from fdmo_core.network import Network
from fdmo_core.phase2 import EXTRACT_BATCH
from fdmo_core.prefix import digest_stages
from fdmo_core.randomness import seeded
from fdmo_core.samples import Split, Splits


class FeatureSource(NamedTuple):
    """What computes features.

    Attributes:
        module: In evaluation mode; its weights decide the features.
        extract: Images in [0, 1] ``(B, 3, S, S)``, or features, to features ``(B, F)``.
        stream_dims: How they divide into streams.
        feature_dim: F of a source that takes features; 0 of one that takes images.
    """

    module: nn.Module
    extract: Callable[[Tensor], Tensor]
    stream_dims: tuple[int, ...]
    feature_dim: int


def network_source(network: Network) -> FeatureSource:
    """Return a network as a source: the joined features that its main classifier sees."""
    return FeatureSource(
        network.eval(),
        lambda images: network.extract(network.prefix(images)),
        network.stream_dims,
        network.input_dim,
    )


def extractor_source(run: Run) -> FeatureSource:
    """Return the texture stream's extractor with its initial weights: its conv map, averaged.

    Raises:
        ConfigError: The weights cannot be had.
    """
    with seeded(run.core.seed, "model-weights"):
        extractor: Extractor = run.texture_stream.component(run.texture_stream.config)
    with seeded(run.core.seed, "initial-weights"):
        extractor.load_initial_weights()
    return FeatureSource(
        extractor.eval(),
        lambda images: extractor(images).mean(dim=(2, 3)),
        (extractor.out_channels,),
        0,
    )


def extract_to_file(
    source: FeatureSource,
    splits: Splits,
    path: Path,
    run: Run,
    *,
    compute: Compute,
    journal: Journal,
) -> None:
    """Write the features of all splits, with labels, splits, sources and class names.

    Memory is bounded by a batch. Interrupted, it goes on where it stopped; the processes of the
    world share the rows, and need the same storage.

    Args:
        source: What computes them; moved to the device.
        splits: The data.
        path: The file to write; it must not be there.
        run: Loading and image size.
        compute: Device, precision and processes.
        journal: Shown the progress.

    Raises:
        DataError: The data are not what the source takes, or a feature is not finite.
        RunFolderError: The file is there, or cannot be written.
    """
    require_input(splits, source.feature_dim)
    source.module.to(compute.device)
    image_size = run.image_size
    origin: dict[str, Any] = {
        "network": digest_stages([source.module]),
        "data": splits.digest,
        "image_size": image_size,
        "precision": compute.config.precision,
    }
    world = compute.world
    world.from_first(lambda: str(make_file(path, splits, source.stream_dims, origin)))
    file = open_file(path)
    pending = world.from_first(lambda: torch.from_numpy(np.flatnonzero(file.is_done == 0)))
    first = 0
    for name, split in splits.named().items():
        end = first + len(split.labels)
        rows = pending[(pending >= first) & (pending < end)] - first
        batches = Batches(
            split,
            image_size=image_size,
            config=run.core.loading.model_copy(update={"memory_mib": 0}),
            pin_memory=compute.device.type == "cuda",
            feature_dim=splits.feature_dim,
        )
        parts = world.share(rows.split(EXTRACT_BATCH) if len(rows) else ())
        for index, batch in enumerate(batches.read(parts)):
            _extract_batch(source, batch.images, batch.rows, first, split, file, compute)
            journal.progress(f"features {name}", index + 1, len(parts))
        first = end
    world.wait()
    world.from_first(lambda: str(file.finish()))


@torch.no_grad()
def _extract_batch(
    source: FeatureSource,
    images: Tensor,
    rows: Tensor,
    first: int,
    split: Split,
    file: UnfinishedFile,
    compute: Compute,
) -> None:
    with compute.autocast():
        features = source.extract(scale_pixels(images.to(compute.device)))
    found = features.float().cpu()
    broken = ~found.isfinite().all(dim=1)
    if broken.any():
        row = int(rows[broken][0])
        raise DataError(
            f"The features of '{split.source(row)}' are not finite. Expected finite numbers. Check "
            f"the weights of the extractor, or use compute.precision = 'fp32'."
        )
    file.write((rows + first).numpy(), found.numpy())
