"""What fold models say of the images that they were trained without, made, kept and read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from fdmo_core.config import Run
from fdmo_core.errors import RunFolderError
from fdmo_core.folds import RidgeMap
from fdmo_core.interfaces import FeatureBatch, HeldOut
from fdmo_core.maps import Maps
from fdmo_core.network import Network
from fdmo_core.phase2 import EXTRACT_BATCH


@dataclass(frozen=True)
class OutOfFold:
    """What fold models say of the images that they were trained without.

    Attributes:
        logits: Of all training images. Shape ``(N, C)``, float32.
        labels: Shape ``(N,)``, int64.
        sources: The training images that the dictionary holds, in its order. Shape ``(M,)``, int64.
        features: Theirs, mapped into the deployed network's space. Shape ``(M, F)``, float32.
    """

    logits: Tensor
    labels: Tensor
    sources: Tensor
    features: Tensor

    def held_out(self) -> HeldOut:
        """Return the images of the dictionary, in its order."""
        return HeldOut(self.features, self.logits[self.sources], self.labels[self.sources])

    def rows(self, part_size: int = 4096) -> Iterator[FeatureBatch]:
        """Yield what a dictionary of cross-fitted features is built from."""
        columns = (self.features, self.labels[self.sources], self.sources)
        for part in zip(*(column.split(part_size) for column in columns), strict=True):
            yield FeatureBatch(*part)


def fold_file(fold: int) -> str:
    """Return the name of the file that holds what the model of a fold says."""
    return f"fold-{fold}.safetensors"


def is_scored(folder: Path, num_folds: int) -> bool:
    """Return whether the files of all folds are there."""
    return all((folder / fold_file(fold)).is_file() for fold in range(num_folds))


@torch.no_grad()
def score_fold(
    fold_model: Network,
    network: Network,
    maps: Maps,
    kept: Tensor,
    is_left_out: Tensor,
    *,
    run: Run,
) -> dict[str, Tensor]:
    """Return a fold's scores of its left-out images, and their features in the network's space.

    The map between the spaces is learned on the images that the fold model learned from; an image
    of a class of n counts n^(-1/2), between all images alike and all classes alike.

    Args:
        fold_model: Trained without the images.
        network: What is deployed.
        maps: Of the training split, for one process.
        kept: The images whose features are wanted. Shape ``(M,)``, int64.
        is_left_out: Shape ``(N,)``, bool.
        run: The strength of the ridge.

    Returns:
        ``rows`` (n,) with ``logits`` (n, C); ``kept_rows`` (m,) with ``features`` (m, F).
    """
    fold_model.eval()
    network.eval()
    is_kept = torch.zeros(len(maps), dtype=torch.bool)
    is_kept[kept] = True
    importance = maps.labels.bincount().float().clamp(min=1).rsqrt()  # (C,)
    ridge_map = RidgeMap(sum(fold_model.stream_dims), sum(network.stream_dims))
    rows, logits, kept_rows, features = [], [], [], []
    for batch in maps.in_order(EXTRACT_BATCH):
        own, places = fold_model.extract(batch.maps).float(), batch.rows.cpu()
        outside = is_left_out[places]
        learned = ~outside
        if learned.any():
            targets = network.extract(batch.maps[learned]).float()
            ridge_map.see(own[learned], targets, importance[batch.labels.cpu()[learned]])
        rows.append(places[outside])
        logits.append(fold_model.main_classifier(own[outside]).cpu())
        wanted = outside & is_kept[places]
        kept_rows.append(places[wanted])
        features.append(own[wanted].cpu())
    to_network = ridge_map.solve(run.core.crossfit.ridge)
    return {
        "rows": torch.cat(rows),
        "logits": torch.cat(logits),
        "kept_rows": torch.cat(kept_rows),
        "features": to_network(torch.cat(features)),
    }


def read_out_of_fold(folder: Path, num_folds: int, labels: Tensor, kept: Tensor) -> OutOfFold:
    """Return what all folds say, in the order of the images and of the dictionary.

    Args:
        folder: ``crossfit`` of a run folder.
        num_folds: K.
        labels: Of all training images. Shape ``(N,)``, int64.
        kept: The images that the dictionary holds, in its order. Shape ``(M,)``, int64.

    Raises:
        RunFolderError: A fold is missing, damaged, or of other images.
    """
    try:
        parts = [load_file(folder / f"fold-{fold}.safetensors") for fold in range(num_folds)]
        rows, logits, kept_rows, features = (
            torch.cat([part[key] for part in parts])
            for key in ("rows", "logits", "kept_rows", "features")
        )
        if not torch.equal(rows.sort().values, torch.arange(len(labels))):
            raise ValueError("they are scores of other images")
        place = torch.full((len(labels),), -1)
        place[kept_rows] = torch.arange(len(kept_rows))
        if (place[kept] < 0).any():
            raise ValueError("features of images that the dictionary holds are missing")
    except Exception as error:  # safetensors raises a type of its own
        raise RunFolderError(
            f"The out-of-fold scores in {folder} cannot be used: {error}. Expected "
            f"fold-0.safetensors to fold-{num_folds - 1}.safetensors of this run. Remove the "
            f"folder to have them made again."
        ) from error
    return OutOfFold(logits[rows.argsort()], labels, kept, features[place[kept]])
