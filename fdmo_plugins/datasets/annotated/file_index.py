"""Looks for listed files, a listing for each folder, whatever the case of the folders' names."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

MAX_FOLDERS = 16  # above a file; a path from a list is looked up folder by folder
MAX_LENGTH = 1024  # characters of a listed path
STAMP_FACTOR, LARGEST_STAMP = 1_000_003, 2**62  # of size and time of change, in one number
MISSING, UNLISTED, IRREGULAR, AMBIGUOUS = -1, -2, -3, -4  # in place of a size

REASONS = {
    0: "The image is empty (0 bytes). Expected an image file.",
    MISSING: "There is no such image. Expected the file that the annotations list.",
    UNLISTED: "The image's folder is not there or cannot be listed. Expected it below data.root.",
    IRREGULAR: "The image is a broken link or no regular file. Expected an image file.",
    AMBIGUOUS: "Several folders differ from the listed one by upper and lower case only. Expected "
    "one, or one that is written as listed.",
}


class FoundFile(NamedTuple):
    """Where a listed file lies.

    Attributes:
        path: Relative to the root, as the folders are written on the disk.
        size: In bytes, or a key of ``REASONS`` if it cannot be used.
    """

    path: str
    size: int


@dataclass(frozen=True)
class FolderListing:
    """What a folder holds.

    Attributes:
        path: Of the folder, relative to the root.
        sizes: Of the files by name, or a key of ``REASONS``.
        folders: Names of the folders in it.
    """

    path: str
    sizes: Mapping[str, int]
    folders: frozenset[str]

    @cached_property
    def folders_by_lower_case(self) -> Mapping[str, list[str]]:
        """The names of the folders that are the same but for upper and lower case."""
        alike: dict[str, list[str]] = {}
        for name in self.folders:
            alike.setdefault(name.casefold(), []).append(name)
        return alike


@dataclass
class FileIndex:
    """Finds files below a root and remembers each folder that it has listed.

    The lists of DeepFashion write the names of some folders otherwise than the archive of its
    images: ``A-Line`` and ``A-line``. Where no folder has the listed name, the one that differs by
    upper and lower case only is taken, if there is one alone.

    Attributes:
        root: Folder that paths are relative to.
    """

    root: Path
    _listings: dict[str, FolderListing | int] = field(default_factory=dict)

    def find(self, path: str) -> FoundFile:
        """Return the file that a path with slashes names."""
        folder, _, name = path.rpartition("/")
        listing = self.listing(folder)
        if isinstance(listing, int):
            return FoundFile(path, listing)
        on_disk = path if listing.path == folder else f"{listing.path}/{name}"
        return FoundFile(on_disk, listing.sizes.get(name, MISSING))

    def listing(self, folder: str) -> FolderListing | int:
        """Return what a folder holds, or a key of ``REASONS``."""
        if folder not in self._listings:
            self._listings[folder] = self._listed(folder)
        return self._listings[folder]

    def _listed(self, folder: str) -> FolderListing | int:
        if not folder:
            return _scanned(self.root, "")
        above, _, name = folder.rpartition("/")
        parent = self.listing(above)
        if isinstance(parent, int):
            return parent
        if name not in parent.folders:
            alike = parent.folders_by_lower_case.get(name.casefold(), [])
            if len(alike) != 1:
                return AMBIGUOUS if alike else UNLISTED
            name = alike[0]
        on_disk = f"{parent.path}/{name}" if parent.path else name
        # Written as on the disk, it may be listed already.
        return self.listing(on_disk) if on_disk != folder else _scanned(self.root, folder)


def leaves_root(path: str) -> bool:
    """Return whether a listed path is absolute, goes up, or is none that a data set has."""
    if path.startswith(("/", "\\")) or not 0 < len(path) <= MAX_LENGTH:
        return True
    if path.count("/") > MAX_FOLDERS:
        return True
    if not any(mark in path for mark in ("..", ":", "\0")):
        return False
    return (
        ".." in re.split(r"[/\\]", path)  # the files may be on Windows
        or re.match("[A-Za-z]:", path) is not None
        or "\0" in path
    )


def _scanned(root: Path, folder: str) -> FolderListing | int:
    sizes: dict[str, int] = {}
    folders: list[str] = []
    try:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.append(entry.name)
                else:
                    sizes[entry.name] = _stamp(entry)
    except OSError:
        return UNLISTED
    return FolderListing(folder, sizes, frozenset(folders))


def _stamp(entry: os.DirEntry[str]) -> int:
    try:
        status = entry.stat()
    except OSError:
        return IRREGULAR
    if not stat.S_ISREG(status.st_mode):
        return IRREGULAR
    if status.st_size == 0:
        return 0
    return 1 + (status.st_size * STAMP_FACTOR + status.st_mtime_ns) % LARGEST_STAMP
