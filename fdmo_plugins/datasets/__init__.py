"""The built-in data sets."""

from collections.abc import Callable

from fdmo_core import Dataset, hookimpl
from fdmo_plugins.datasets.fashion_mnist import FashionMnistDataset
from fdmo_plugins.datasets.folder import FolderDataset
from fdmo_plugins.datasets.garments.dataset import GarmentsDataset


@hookimpl
def register_datasets(register: Callable[[type[Dataset]], None]) -> None:
    """Supply the drawn, embedded set, Fashion-MNIST, and a person's own images."""
    register(GarmentsDataset)
    register(FashionMnistDataset)
    register(FolderDataset)
