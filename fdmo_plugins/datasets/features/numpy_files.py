"""Arrays of .npy and .npz files, mapped where they are not compressed; nothing is unpickled."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_plugins.datasets.features.stored import (
    Array,
    Keys,
    MappedArray,
    StoredFeatures,
    labels_and_split,
    require_key,
)

CLASS_NAMES_KEY = "class_names"
LOCAL_HEADER = 30  # bytes of a zip member's own header before its name


class Header(NamedTuple):
    """What the beginning of a .npy file says.

    Attributes:
        shape: Of the array.
        is_fortran: Whether columns lie together.
        dtype: Of the values.
        length: Bytes of the header itself.
    """

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]
    length: int


def read_header(stream: IO[bytes], name: str) -> Header:
    """Return what a .npy file says of its array; the stream then stands at the first value.

    Args:
        stream: At the beginning.
        name: Of the file or member, for the message.

    Raises:
        DataError: It is no .npy file, or its values are Python objects.
    """
    start = stream.tell()
    read: dict[tuple[int, int], Callable[[IO[bytes]], Any]] = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
    }
    try:
        version = npy_format.read_magic(stream)
        shape, is_fortran, dtype = read[version](stream)
    except (ValueError, KeyError, EOFError, OSError, BadZipFile) as error:
        raise DataError(
            f"{name} is no array: {error}. Expected what numpy.save or numpy.savez writes. Write "
            f"it again."
        ) from error
    if dtype.hasobject:
        raise DataError(
            f"{name} holds Python objects, which only pickle could read and fdmo never does. "
            f"Expected numbers or text. Convert before saving: array.astype(str) for names, "
            f"numpy.stack(array) for vectors."
        )
    return Header(shape, is_fortran, dtype, stream.tell() - start)


def open_npy(file: Path) -> MappedArray:
    """Return the array of a .npy file, mapped.

    Raises:
        DataError: It is no such file, or its values are Python objects.
    """
    try:
        with file.open("rb") as stream:
            header = read_header(stream, f"'{file}'")
    except OSError as error:
        raise _unreadable(file, error) from error
    return MappedArray(file, header.length, header.dtype, header.shape, header.is_fortran)


def read_npy(file: Path) -> NDArray[Any]:
    """Return the array of a .npy file, whole; errors as in :func:`open_npy`."""
    array = open_npy(file)
    return np.array(array[...]) if np.prod(array.shape) else np.empty(array.shape, array.dtype)


def open_npz(file: Path, keys: Keys) -> StoredFeatures:
    """Return what a .npz file holds; features that are compressed are read whole.

    Args:
        file: Where it is.
        keys: Names of its arrays.

    Raises:
        DataError: It is no such file, an array is missing, or one holds Python objects.
    """
    try:
        with ZipFile(file) as archive:
            members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
            there = tuple(members)
            features = require_key(keys.features, there, what="features", file=file)
            labels, split = labels_and_split(keys, there, file)

            def whole(key: str | None) -> NDArray[Any] | None:
                return None if key is None else _read_member(archive, members[key])

            names = whole(CLASS_NAMES_KEY if CLASS_NAMES_KEY in members else None)
            return StoredFeatures(
                features=_open_member(archive, members[features], file),
                labels=whole(labels),
                splits=whole(split),
                class_names=None if names is None else tuple(map(str, names.ravel().tolist())),
            )
    except DataError:
        raise
    except OSError as error:
        raise _unreadable(file, error) from error
    except Exception as error:  # a broken archive makes zipfile and numpy raise nearly anything
        raise DataError(
            f"'{file}' is damaged or no .npz file: {error}. Expected what numpy.savez writes. "
            f"Write it again."
        ) from error


def _open_member(archive: ZipFile, info: ZipInfo, file: Path) -> Array:
    """Return an array of the archive: mapped if it is stored as it is, or else read."""
    if info.compress_type != ZIP_STORED:
        return _read_member(archive, info)
    with archive.open(info) as stream:
        header = read_header(stream, f"'{info.filename}' of '{file}'")
    with file.open("rb") as whole:  # the name and extra field may differ from the directory's
        whole.seek(info.header_offset)
        local = whole.read(LOCAL_HEADER)
    name_length, extra_length = (int.from_bytes(local[at : at + 2], "little") for at in (26, 28))
    first = info.header_offset + LOCAL_HEADER + name_length + extra_length + header.length
    return MappedArray(file, first, header.dtype, header.shape, header.is_fortran)


def _read_member(archive: ZipFile, info: ZipInfo) -> NDArray[Any]:
    with archive.open(info) as stream:
        read_header(stream, f"'{info.filename}' of '{archive.filename}'")
    with archive.open(info) as stream:
        array: NDArray[Any] = npy_format.read_array(stream, allow_pickle=False)
    return array


def _unreadable(file: Path, error: OSError) -> DataError:
    return DataError(
        f"'{file}' cannot be opened ({error.strerror or error}). Expected a file that can be "
        f"read. Check data.file and its permissions."
    )
