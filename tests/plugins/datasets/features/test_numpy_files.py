import pickle
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_plugins.datasets.features.numpy_files import open_npy, open_npz, read_npy
from fdmo_plugins.datasets.features.stored import Keys, MappedArray

Npz = Callable[..., Path]
Vectors = NDArray[np.float32]


class Unpickled:
    """Leaves a file behind if somebody unpickles it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_arrays_that_are_not_compressed_stay_in_their_file(npz: Npz, vectors: Vectors) -> None:
    stored = open_npz(npz(X=vectors, y=np.zeros(40)), Keys())

    assert isinstance(stored.features, MappedArray)
    np.testing.assert_array_equal(stored.features[:], vectors)


def test_arrays_behind_others_and_in_zip64_are_found(tmp_path: Path, vectors: Vectors) -> None:
    file = tmp_path / "features.npz"
    np.savez(file, first=np.zeros(1000), y=np.zeros(40))
    with ZipFile(file, "a") as archive, archive.open("X.npy", "w", force_zip64=True) as member:
        np.save(member, vectors)

    stored = open_npz(file, Keys())

    assert isinstance(stored.features, MappedArray)
    np.testing.assert_array_equal(stored.features[5:9], vectors[5:9])


def test_compressed_arrays_are_read_whole(tmp_path: Path, vectors: Vectors) -> None:
    np.savez_compressed(tmp_path / "small.npz", X=vectors, y=np.zeros(40))

    stored = open_npz(tmp_path / "small.npz", Keys())

    assert isinstance(stored.features, np.ndarray)
    np.testing.assert_array_equal(stored.features, vectors)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_single_array_is_mapped_in_the_order_that_it_has(
    tmp_path: Path, vectors: Vectors, order: str
) -> None:
    np.save(tmp_path / "X.npy", np.array(vectors, order="F" if order == "F" else "C"))

    found = open_npy(tmp_path / "X.npy")

    assert found.is_fortran == (order == "F")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found))[7], vectors[7])


def test_what_is_missing_is_said_with_what_is_there(npz: Npz, vectors: Vectors) -> None:
    file = npz(images=vectors, y=np.zeros(40))

    with pytest.raises(DataError) as caught:
        open_npz(file, Keys())

    assert str(caught.value) == (
        f"'{file}' has no 'features' or 'X' or 'embeddings'. It has: images, y. Expected features "
        f"under such a name. Rename them, or set data.features_key."
    )
    with pytest.raises(DataError, match=r"has no 'labels' or 'y' or 'label'\. It has: X\."):
        open_npz(npz(X=vectors), Keys())


def test_labels_may_be_missing_where_another_file_has_them(npz: Npz, vectors: Vectors) -> None:
    assert open_npz(npz(X=vectors), Keys(labels=())).labels is None


@pytest.mark.parametrize("key", ["X", "y"])
def test_python_objects_are_refused_and_never_unpickled(
    npz: Npz, vectors: Vectors, tmp_path: Path, key: str
) -> None:
    canary = tmp_path / "canary"
    objects = np.array([Unpickled(canary)] * 40, dtype=object)
    file = npz(**{"X": vectors, "y": np.zeros(40), key: objects})

    with pytest.raises(DataError) as caught:
        open_npz(file, Keys())

    assert str(caught.value) == (
        f"'{key}.npy' of '{file}' holds Python objects, which only pickle could read and fdmo "
        f"never does. Expected numbers or text. Convert before saving: array.astype(str) for "
        f"names, numpy.stack(array) for vectors."
    )
    assert not canary.exists()


def test_a_pickle_that_is_called_npy_is_refused(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "X.npy").write_bytes(pickle.dumps(Unpickled(canary)))

    with pytest.raises(DataError, match=r"X\.npy' is no array: .* Expected what numpy\.save or"):
        read_npy(tmp_path / "X.npy")
    assert not canary.exists()


@pytest.mark.parametrize("share", [0.0, 0.4, 0.98])
def test_damaged_files_are_refused(npz: Npz, vectors: Vectors, share: float) -> None:
    file = npz(X=vectors, y=np.zeros(40))
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])

    with pytest.raises(DataError, match=r"is damaged or no \.npz file: .*Expected what"):
        open_npz(file, Keys())


def test_an_array_that_is_cut_off_is_refused(tmp_path: Path, vectors: Vectors) -> None:
    file = tmp_path / "X.npy"
    np.save(file, vectors)
    file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(DataError, match=r"X\.npy' cannot be mapped: .* Expected \(40, 5\) values"):
        open_npy(file)[0]


def test_an_archive_with_an_unknown_compression_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "features.npz"
    np.savez(file, features=np.zeros((4, 2), dtype=np.float32), labels=np.arange(4))
    content = file.read_bytes()
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # of both kinds of header
        start = content.find(mark)
        while start >= 0:
            content = content[: start + place] + b"\x63\x00" + content[start + place + 2 :]
            start = content.find(mark, start + 4)
    file.write_bytes(content)

    with pytest.raises(DataError, match=r"is damaged or no .npz file"):
        open_npz(file, Keys())
