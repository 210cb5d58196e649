import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fdmo_core import DataError
from fdmo_plugins.datasets.idx import find_idx, read_idx

IMAGES = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)


def idx_bytes(magic: int = 0x0803, sizes: tuple[int, ...] = (3, 2, 4)) -> bytes:
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + IMAGES.tobytes()


def test_plain_and_compressed_files_hold_the_same(tmp_path: Path) -> None:
    plain, compressed = tmp_path / "images", tmp_path / "images.gz"
    plain.write_bytes(idx_bytes())
    compressed.write_bytes(gzip.compress(idx_bytes()))

    for path in (plain, compressed):
        np.testing.assert_array_equal(read_idx(path, item_shape=(2, 4)), IMAGES)


def test_labels_have_one_dimension(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(struct.pack(">2I", 0x0801, 3) + bytes([7, 0, 9]))

    assert read_idx(path, item_shape=()).tolist() == [7, 0, 9]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"has 0 bytes\. Expected a header of 16 bytes\."),
        (idx_bytes(magic=0x0801), r"magic number 0x0801\. Expected 0x0803, unsigned bytes in 3 "),
        (idx_bytes(magic=0x0D03), r"has the magic number 0x0d03\. Expected 0x0803"),
        (idx_bytes(sizes=(3, 4, 2)), r"items of shape \(4, 2\)\. Expected items of \(2, 4\)\."),
        (idx_bytes()[:-1], r"has 39 bytes\. Expected 40 bytes for the 3 items that its header"),
        (idx_bytes() + b"!", r"has 41 bytes\. Expected 40 bytes for the 3 items that its header"),
        (idx_bytes(sizes=(2**32 - 1, 2, 4)), r"Expected 34359738376 bytes for the 4294967295 it"),
    ],
)
def test_a_file_of_other_content_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)

    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, item_shape=(2, 4))

    assert str(path) in str(caught.value)
    assert "Copy or download the file again, or set data.root" in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-12], lambda b: b"PK" + b, lambda b: b[:11] + b])
def test_a_damaged_compressed_file_is_named(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes())))

    with pytest.raises(DataError, match=r"images\.gz' cannot be read .*Expected a readable, whole"):
        read_idx(path, item_shape=(2, 4))


def test_the_uncompressed_file_is_preferred(tmp_path: Path) -> None:
    for name in ("images", "images.gz", "labels.gz"):
        (tmp_path / name).touch()

    assert find_idx(tmp_path, "images") == tmp_path / "images"
    assert find_idx(tmp_path, "labels") == tmp_path / "labels.gz"
    assert find_idx(tmp_path, "others") is None
