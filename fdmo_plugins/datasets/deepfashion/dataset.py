"""DeepFashion's category benchmark: some 289,000 images, one garment each, 46 used categories."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from fdmo_core import Dataset, DatasetConfig, Splits
from fdmo_plugins.datasets.annotated.faults import Faults
from fdmo_plugins.datasets.annotated.opening import open_splits
from fdmo_plugins.datasets.deepfashion.annotations import read_annotations
from fdmo_plugins.datasets.deepfashion.categories import LANDMARK_NAMES, MIRRORED_LANDMARKS
from fdmo_plugins.datasets.deepfashion.layout import find_layout
from fdmo_plugins.datasets.deepfashion.lookalike import write_files


class DeepFashionConfig(DatasetConfig):
    """Options of :class:`DeepFashionDataset`."""

    name: Literal["deepfashion"] = "deepfashion"
    image_size: int = Field(
        default=224, ge=16, le=1024, description="Side of the square network input, in pixels."
    )
    root: str = Field(default="", description="Folder with Anno_coarse/ or Anno/, Eval/ and Img/.")
    keep_empty_categories: bool = Field(
        default=False, description="Whether categories without a training image stay classes."
    )
    max_unreadable_share: float = Field(
        default=0.01, ge=0, le=1, description="Share of the images that may have a fault."
    )
    max_pixels: int = Field(
        default=64_000_000,
        ge=1,
        le=178_000_000,  # Pillow refuses more by itself
        description="Width times height above which an image counts as unreadable.",
    )


class DeepFashionDataset(Dataset):
    """DeepFashion, Category and Attribute Prediction Benchmark, as it is downloaded.

    Each image has one label, a box and up to eight landmarks. The splits are the official ones.
    Categories without a usable training image are left out and listed in ``skipped``; the others
    keep the order of their ids.

    No image is decoded when the data set is opened: each folder is listed once. Images with a
    fault in any list are left out and listed in ``skipped``, up to ``max_unreadable_share``. The
    digest follows the lists and the sizes and times of change of the files.

    Source: Liu et al. 2016.

    Args:
        config: Where the files are and which categories count.
        seed: Decides nothing here.
    """

    config_class: ClassVar[type[DatasetConfig]] = DeepFashionConfig
    config: DeepFashionConfig

    def load(self) -> Splits:
        """Return the splits; errors as in :meth:`Dataset.load`."""
        layout = find_layout(self.config.root)
        faults = Faults()
        found = read_annotations(layout, faults)
        faults.require_few(found.num_listed, max_share=self.config.max_unreadable_share)
        return open_splits(
            layout.root,
            found.items,
            found.splits,
            category_names=found.category_names,
            keep_empty=self.config.keep_empty_categories,
            landmark_names=LANDMARK_NAMES,
            mirrored_landmarks=MIRRORED_LANDMARKS,
            skipped=faults.reasons,
            max_pixels=self.config.max_pixels,
        )

    @classmethod
    def write_lookalike(cls, folder: Path, *, num_images: int, seed: int) -> None:
        """Write drawn images in the new layout; arguments as in :meth:`Dataset.write_lookalike`.

        Raises:
            ConfigError: So few images make no data set.
        """
        write_files(folder, num_images=num_images, seed=seed)
