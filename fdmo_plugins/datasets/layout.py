"""Which splits and classes a folder of images has, by the names of its folders."""

import os
from collections.abc import Iterator
from pathlib import Path

from fdmo_core import ConfigError, DataError

SPLITS = ("train", "val", "test")

# What torchvision's ImageFolder takes, and .gif.
SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)


def existing_root(root: str) -> Path:
    """Return the folder that ``data.root`` names.

    Raises:
        ConfigError: The setting is empty.
        DataError: There is no such folder.
    """
    if not root:
        raise ConfigError(
            "data.root is empty. Expected the folder with your images. Set data.root, or pass "
            "'--data FOLDER'."
        )
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"'{folder}' is no folder. Expected the folder with your images, one folder a class. "
            f"Correct data.root."
        )
    return folder


def image_listing(root: Path) -> dict[str, dict[str, list[str]]]:
    """Return the image files by split and class, as sorted paths relative to ``root``.

    Without folders of splits all images count as train, which is always there.

    Raises:
        DataError: The folders are neither classes nor splits, or hold no image.
    """
    below = {folder.name: folder for folder in _visible_folders(root)}
    if below.keys().isdisjoint(SPLITS):
        below = {"train": root}
    if "train" not in below or not below.keys() <= set(SPLITS):
        raise DataError(
            f"'{root}' has the folders {', '.join(map(printable, below))}. Expected either class "
            f"folders alone, or train with val, test, both or neither. Rename the folders of the "
            f"splits to these names; if 'train', 'val' or 'test' is a class, rename that."
        )
    listing = {split: _class_listing(below[split], root) for split in SPLITS if split in below}
    for split, by_class in listing.items():
        if not any(by_class.values()):
            raise DataError(
                f"'{below[split]}' has {len(by_class)} class folder(s) and no image in them. "
                f"Expected one folder a class, each with files such as .jpg or .png. Put the "
                f"images of each class into a folder of its own, or correct data.root."
            )
    return listing


def printable(path: str) -> str:
    """Return a path, whose bytes may be no UTF-8, as text that any file or terminal takes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _class_listing(folder: Path, root: Path) -> dict[str, list[str]]:
    return {
        printable(of_class.name): sorted(
            path.relative_to(root).as_posix()
            for path in _visible_files(of_class)
            if path.suffix.lower() in SUFFIXES
        )
        for of_class in _visible_folders(folder)
    }


def _visible_folders(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise _unlistable(error) from error
    return [path for path in entries if path.is_dir() and not path.name.startswith(".")]


def _visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files at any depth; links to folders are followed, each folder once."""

    def stop(error: OSError) -> None:
        raise _unlistable(error) from error

    seen = set()  # a link to a folder above itself would never end
    for where, folders, files in os.walk(folder, onerror=stop, followlinks=True):
        real = Path(where).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where, name) for name in files if not name.startswith("."))


def _unlistable(error: OSError) -> DataError:
    return DataError(
        f"'{error.filename}' cannot be listed ({error.strerror}). Expected a readable folder. "
        f"Check its permissions, or move it out of data.root."
    )
