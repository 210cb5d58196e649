"""DeepFashion2: garments in photographs of shops and of customers, each cropped by its box."""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fdmo_core import ConfigError, DataError, Dataset, DatasetConfig, Splits
from fdmo_plugins.datasets.annotated.faults import Faults
from fdmo_plugins.datasets.annotated.items import concatenated
from fdmo_plugins.datasets.annotated.opening import open_splits
from fdmo_plugins.datasets.deepfashion2.annotations import Annotations, read_annotations
from fdmo_plugins.datasets.deepfashion2.categories import (
    NAMES,
    LandmarkSlots,
    landmark_names,
    mirrored_landmarks,
)
from fdmo_plugins.datasets.deepfashion2.holding_out import drawn_to_validate
from fdmo_plugins.datasets.deepfashion2.lookalike import write_files
from fdmo_plugins.datasets.layout import SPLITS

TRAIN, VAL, TEST = range(len(SPLITS))


class DeepFashion2Config(DatasetConfig):
    """Options of :class:`DeepFashion2Dataset`."""

    name: Literal["deepfashion2"] = "deepfashion2"
    image_size: int = Field(
        default=224, ge=16, le=1024, description="Side of the square network input, in pixels."
    )
    root: str = Field(default="", description="Folder with train/ and validation/.")
    val_share: float = Field(
        default=0.1, ge=0, lt=1, description="Share of each training category to validate with."
    )
    landmark_slots: LandmarkSlots = Field(
        default=39,
        description="39: by position in a category's list; 294: one for each of every category.",
    )
    max_unreadable_share: float = Field(
        default=0.01, ge=0, le=1, description="Share of the items that may have a fault."
    )
    max_pixels: int = Field(
        default=64_000_000,
        ge=1,
        le=178_000_000,  # Pillow refuses more by itself
        description="Width times height above which an image counts as unreadable.",
    )


class DeepFashion2Dataset(Dataset):
    """DeepFashion2 as its archives unpack; a sample is one garment, cropped by its box.

    The official validation images are the test split, since the official test images have no
    labels. A validation split is drawn from the training images. With 39 landmark slots, slot n
    is the n-th landmark of the garment's own category, so a mirror would exchange other slots for
    each: there are no mirrored pairs then, and training should set ``augmentation.mirror`` to
    false. With 294 there are.

    Source: Ge et al. 2019 for the data; Sec. IV-A of the paper for items, boxes and 39 landmarks.

    Departs from the paper: it does not say what it validates with.

    No image is decoded when the data set is opened: each folder is listed once, and each annotation
    file is read. Items with a fault are left out and listed in ``skipped``, up to
    ``max_unreadable_share``. The digest follows the annotations and the
    sizes and times of change of the images.

    Args:
        config: Where the files are, and how landmarks and splits are made.
        seed: Decides which images validate.
    """

    config_class: ClassVar[type[DatasetConfig]] = DeepFashion2Config
    config: DeepFashion2Config

    def load(self) -> Splits:
        """Return the splits; errors as in :meth:`Dataset.load`."""
        root, slots = self._root(), self.config.landmark_slots
        faults = Faults()
        train, test = (
            read_annotations(root, folder, landmark_slots=slots, faults=faults)
            for folder in ("train", "validation")
        )
        num_listed = len(train.items) + len(test.items) + len(faults.reasons)
        faults.require_few(num_listed, max_share=self.config.max_unreadable_share)
        validates = self._drawn_to_validate(train)
        of_train = np.where(validates, VAL, TRAIN)
        return open_splits(
            root,
            concatenated(train.items, test.items),
            np.concatenate([of_train, np.full(len(test.items), TEST)]).astype(np.int8),
            category_names=NAMES,
            landmark_names=landmark_names(slots),
            mirrored_landmarks=mirrored_landmarks(slots),
            skipped=faults.reasons,
            max_pixels=self.config.max_pixels,
        )

    def _drawn_to_validate(self, train: Annotations) -> NDArray[np.bool_]:
        share = self.config.val_share
        validates = drawn_to_validate(
            train.items.labels, train.pair_ids, share=share, seed=self.seed
        )
        if share > 0 and not validates.any():
            raise DataError(
                f"data.val_share = {share:g} draws no val image at all from {len(train.items)} "
                f"training items. Expected at least one. Raise data.val_share, or set it to 0 to "
                f"go without."
            )
        return validates

    def _root(self) -> Path:
        if not self.config.root:
            raise ConfigError(
                "data.root is empty. Expected the folder with DeepFashion2's train/ and "
                "validation/. Set data.root."
            )
        root = Path(self.config.root).expanduser()
        if not root.is_dir():
            raise DataError(
                f"'{root}' is no folder. Expected the one with DeepFashion2's train/ and "
                f"validation/. Correct data.root."
            )
        return root

    @classmethod
    def write_lookalike(cls, folder: Path, *, num_images: int, seed: int) -> None:
        """Write drawn images of one or two garments; as in :meth:`Dataset.write_lookalike`.

        Raises:
            ConfigError: So few images make no data set.
        """
        write_files(folder, num_images=num_images, seed=seed)
