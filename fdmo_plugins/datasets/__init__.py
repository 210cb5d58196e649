"""The built-in data sets."""

from collections.abc import Callable

from fdmo_core import Dataset, hookimpl
from fdmo_plugins.datasets.deepfashion.dataset import DeepFashionDataset
from fdmo_plugins.datasets.deepfashion2.dataset import DeepFashion2Dataset
from fdmo_plugins.datasets.digits import DigitsDataset
from fdmo_plugins.datasets.fashion_mnist import FashionMnistDataset
from fdmo_plugins.datasets.features.dataset import FeaturesDataset
from fdmo_plugins.datasets.folder import FolderDataset
from fdmo_plugins.datasets.garments.dataset import GarmentsDataset
from fdmo_plugins.datasets.table.dataset import TableDataset


@hookimpl
def register_datasets(register: Callable[[type[Dataset]], None]) -> None:
    """Supply the drawn, embedded set, published sets, and a person's own images or features."""
    register(GarmentsDataset)
    register(FashionMnistDataset)
    register(DigitsDataset)
    register(FolderDataset)
    register(TableDataset)
    register(FeaturesDataset)
    register(DeepFashionDataset)
    register(DeepFashion2Dataset)
