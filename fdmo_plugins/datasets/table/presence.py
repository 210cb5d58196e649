"""Looks for the files of a table, a listing for each folder, without opening one of them."""

import os
import stat
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdmo_plugins.datasets.table.rows import Rows

LISTED_AT_ONCE = 4096  # entries, so that a folder of millions needs no memory for its names
STAMP_FACTOR, LARGEST_STAMP = 1_000_003, 2**62  # of size and time of change, in one number
MISSING, UNLISTED, IRREGULAR = -1, -2, -3  # in place of a size

REASONS = {
    0: "The file is empty (0 bytes). Expected an image.",
    MISSING: "There is no such file. Expected it below data.root.",
    UNLISTED: "Its folder is not there or cannot be listed. Expected it below data.root.",
    IRREGULAR: "It is a broken link or no regular file. Expected an image.",
}


def file_sizes(root: Path, rows: Rows) -> NDArray[np.int64]:
    """Return the size of each row's file in bytes, or what is wrong with it (see ``REASONS``).

    Rows and the names in a folder meet by their 64-bit hashes: at 5 million rows, the chance that
    one missing file goes unnoticed until it is read is below one in a million.

    Args:
        root: What the paths are relative to.
        rows: The table.

    Returns:
        Shape ``(N,)``, int64.
    """
    keys, of_rows = np.unique(rows.path_keys, return_inverse=True)
    sizes = np.full(len(keys), MISSING, dtype=np.int64)
    _, firsts = np.unique(rows.folder_keys, return_index=True)
    unlisted = np.zeros(len(firsts), dtype=bool)
    for index, first in enumerate(firsts.tolist()):
        prefix = rows.paths.encoded(first).rpartition(b"/")
        folder = os.path.join(os.fsencode(root), prefix[0] or prefix[1])  # noqa: PTH118  # bytes
        unlisted[index] = not _list_into(sizes, keys, folder, b"".join(prefix[:2]))
    if unlisted.any():
        _, folders = np.unique(rows.folder_keys, return_inverse=True)
        sizes[of_rows[unlisted[folders]]] = UNLISTED
    return sizes[of_rows]


def _list_into(
    sizes: NDArray[np.int64], keys: NDArray[np.int64], folder: bytes, prefix: bytes
) -> bool:
    """Fill in the sizes of the files in one folder; return whether it can be listed."""
    try:
        with os.scandir(folder) as entries:
            while part := list(islice(entries, LISTED_AT_ONCE)):
                found = np.array([hash(prefix + entry.name) for entry in part], dtype=np.int64)
                places = np.searchsorted(keys, found)
                places[places == len(keys)] = 0
                for at in np.flatnonzero(keys[places] == found).tolist():
                    sizes[places[at]] = _stamp(part[at])
    except OSError:
        return False
    return True


def _stamp(entry: os.DirEntry[bytes]) -> int:
    try:
        status = entry.stat()
    except OSError:
        return IRREGULAR
    if not stat.S_ISREG(status.st_mode):
        return IRREGULAR
    if status.st_size == 0:
        return 0
    return 1 + (status.st_size * STAMP_FACTOR + status.st_mtime_ns) % LARGEST_STAMP
