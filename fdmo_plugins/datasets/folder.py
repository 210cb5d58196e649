"""Images in folders, one folder a class, as torchvision's ImageFolder expects them."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fdmo_core import DataError, Dataset, DatasetConfig, Sample, Splits
from fdmo_core.images import read_rgb
from fdmo_core.randomness import derive_seed
from fdmo_plugins.datasets.held_out import held_out_counts, nothing_drawn
from fdmo_plugins.datasets.layout import SPLITS, existing_root, image_listing, printable
from fdmo_plugins.datasets.scan import ScannedImage, scan_images

NAMED_IN_MESSAGES = 5  # files, so that a message stays readable

ImagesByClass = Mapping[str, list[ScannedImage]]


class FolderConfig(DatasetConfig):
    """Options of :class:`FolderDataset`."""

    name: Literal["folder"] = "folder"
    root: str = Field(
        default="", description="Folder of class folders, or of train/ and maybe val/ and test/."
    )
    val_share: float = Field(
        default=0.1, ge=0, lt=1, description="Share of each class to validate with, if no val/."
    )
    test_share: float = Field(
        default=0.2, ge=0, lt=1, description="Share of each class to test with, if no test/."
    )
    max_unreadable_share: float = Field(
        default=0.01, ge=0, le=1, description="Share of the files that may be unreadable."
    )
    max_pixels: int = Field(
        default=64_000_000,
        ge=1,
        le=178_000_000,  # Pillow refuses more by itself
        description="Width times height above which an image counts as unreadable.",
    )

    @model_validator(mode="after")
    def _shares_leave_something_to_train_with(self) -> Self:
        if self.val_share + self.test_share >= 1:
            raise ValueError(
                f"val_share {self.val_share:g} and test_share {self.test_share:g} leave nothing "
                f"to train with. Expected a sum below 1. Lower one of them."
            )
        return self


@dataclass(frozen=True)
class FolderSplit:
    """Images that are read from their files when they are asked for.

    Attributes:
        root: Folder that the paths are relative to.
        paths: One path a sample.
        labels: Shape ``(N,)``, int64.
        max_pixels: As in :func:`fdmo_core.images.read_rgb`.
    """

    root: Path
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    max_pixels: int

    def __getitem__(self, index: int) -> Sample:
        """Read one image; errors as in :func:`fdmo_core.images.read_rgb`."""
        image = read_rgb(self.root / self.paths[index], max_pixels=self.max_pixels)
        return Sample(image, int(self.labels[index]))

    def source(self, index: int) -> str:
        """Return the path of the file, relative to the root."""
        return printable(self.paths[index])


class FolderDataset(Dataset):
    """A person's own images: a folder of class folders, whose names are the class names.

    If the root has a folder ``train``, it is a folder of splits: ``val`` and ``test`` may stand
    beside it, under these names only. A split without a folder is drawn from the training images,
    class by class, by its share; a class always keeps an image to train with.

    The class names are those of the training folder, sorted, and the other splits are matched to
    them by name. A class that is missing from val or test therefore shifts no label. A class
    folder without one readable training image is left out and listed in ``skipped``, since
    nothing can be learnt from it; a class of val or test that train lacks is an error.

    Every file is read once when the data set is opened. Unreadable ones are listed in ``skipped``
    with the reason, up to ``max_unreadable_share`` of all files.

    Args:
        config: Where the images are and how they are split.
        seed: Decides which images of a class are drawn, one class apart from the others.
    """

    config_class: ClassVar[type[DatasetConfig]] = FolderConfig
    config: FolderConfig

    def load(self) -> Splits:
        """Return the splits; errors as in :meth:`Dataset.load`."""
        root = existing_root(self.config.root)
        listing = image_listing(root)
        paths = [path for by_class in listing.values() for own in by_class.values() for path in own]
        scanned = scan_images(root, paths, max_pixels=self.config.max_pixels)
        skipped = _unreadable(scanned, self.config.max_unreadable_share)

        given = _readable(listing, scanned)
        class_names = tuple(sorted(name for name, images in given["train"].items() if images))
        _check_classes(given, class_names)
        for name in sorted(given["train"].keys() - set(class_names)):
            skipped[f"{name}/"] = "The class has no readable training image and was left out."

        splits = self._with_drawn_splits(given)
        return Splits(
            class_names=class_names,
            train=self._split(root, splits["train"], class_names),
            val=self._split(root, splits["val"], class_names),
            test=self._split(root, splits["test"], class_names),
            digest=_digest(splits, class_names),
            skipped=skipped,
        )

    def _with_drawn_splits(self, given: Mapping[str, ImagesByClass]) -> dict[str, ImagesByClass]:
        """Return all three splits, those that have no folder drawn from train."""
        val_share = 0.0 if "val" in given else self.config.val_share
        test_share = 0.0 if "test" in given else self.config.test_share
        drawn: dict[str, dict[str, list[ScannedImage]]] = {split: {} for split in SPLITS}
        for name, images in given["train"].items():
            rng = np.random.default_rng(derive_seed(self.seed, "folder", name))
            num_val, num_test = held_out_counts(len(images), val_share, test_share)
            parts = np.split(rng.permutation(len(images)), [num_val, num_val + num_test])
            for split, positions in zip(("val", "test", "train"), parts, strict=True):
                drawn[split][name] = [images[position] for position in np.sort(positions)]
        _check_drawn(drawn, {"val": val_share, "test": test_share})
        return {**drawn, **{split: given[split] for split in given.keys() - {"train"}}}

    def _split(
        self, root: Path, images: ImagesByClass, class_names: tuple[str, ...]
    ) -> FolderSplit:
        own = [images.get(name, []) for name in class_names]
        paths = tuple(image.path for of_class in own for image in of_class)
        labels = np.repeat(np.arange(len(own)), [len(of_class) for of_class in own])
        return FolderSplit(root, paths, labels, self.config.max_pixels)


def _readable(
    listing: Mapping[str, Mapping[str, list[str]]], scanned: Mapping[str, ScannedImage]
) -> dict[str, ImagesByClass]:
    return {
        split: {
            name: [scanned[path] for path in paths if scanned[path].problem is None]
            for name, paths in by_class.items()
        }
        for split, by_class in listing.items()
    }


def _unreadable(scanned: Mapping[str, ScannedImage], max_share: float) -> dict[str, str]:
    """Return the reasons by path, in order, if there are few enough."""
    problems = {printable(path): image.problem for path, image in scanned.items() if image.problem}
    if len(problems) > max_share * len(scanned):
        first = [f"{path}: {reason}" for path, reason in problems.items()][:NAMED_IN_MESSAGES]
        raise DataError(
            f"{len(problems)} of {len(scanned)} images cannot be read. Expected at most a share "
            f"of {max_share:g}. Repair or delete them, or raise data.max_unreadable_share. "
            f"The first of them:\n" + "\n".join(first)
        )
    return problems


def _check_classes(splits: Mapping[str, ImagesByClass], class_names: tuple[str, ...]) -> None:
    if len(class_names) < 2:
        raise DataError(
            f"The training images have {len(class_names)} class(es): "
            f"{', '.join(class_names)}. Expected at least 2 class folders with images "
            f"that can be read. Put the images of each class into a folder of its own."
        )
    for split in splits.keys() - {"train"}:
        strangers = sorted(
            name for name, images in splits[split].items() if images and name not in class_names
        )
        if strangers:
            raise DataError(
                f"Classes of {split}/ without a training image: {', '.join(strangers)}. Expected "
                f"every class of {split}/ in train/, under the same name. Add training images, "
                f"correct the name, or remove the folder."
            )


def _check_drawn(drawn: Mapping[str, ImagesByClass], shares: Mapping[str, float]) -> None:
    for split, share in shares.items():
        if share > 0 and not any(drawn[split].values()):
            largest = max(len(images) for images in drawn["train"].values())
            raise nothing_drawn(split, share, largest=largest, sample="image")


def _digest(splits: Mapping[str, ImagesByClass], class_names: tuple[str, ...]) -> str:
    """Return a digest of which file is in which split, under which label, with which bytes."""
    total = blake2b(digest_size=32)
    for split in SPLITS:
        for label, name in enumerate(class_names):
            for image in splits[split].get(name, []):
                total.update(
                    f"{split} {label} {name} {image.path}\0".encode(errors="surrogateescape")
                )
                total.update(image.digest)
    return total.hexdigest()
