"""A sealed file is as it was written, or it is refused."""

import json
import stat
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from fdmo_core import sealed
from fdmo_core.errors import RunFolderError
from fdmo_core.sealed import read_sealed, write_sealed

HEAD = {"step": 3, "name": "gar\u00e7on \u201cx\u201d", "nested": {"rates": [0.1, 1e-30]}}
TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7)}
REFUSALS = (OSError, ValueError, SafetensorError)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.safetensors"
    write_sealed(path, HEAD, TENSORS)
    return path


def test_head_and_tensors_come_back(file: Path) -> None:
    head, tensors = read_sealed(file)

    assert head == HEAD
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], one) for name, one in TENSORS.items())


def test_it_is_an_ordinary_safetensors_file_with_its_digest_in_the_header(file: Path) -> None:
    with safe_open(file, "pt") as opened:
        head = json.loads(opened.metadata()["fdmo"])

        assert set(opened.keys()) == set(TENSORS)
    assert len(head["sha256"]) == 64
    assert head["sha256"] != sealed.NO_DIGEST


def test_equal_content_makes_equal_bytes(file: Path, tmp_path: Path) -> None:
    write_sealed(tmp_path / "other.safetensors", HEAD, TENSORS)

    assert (tmp_path / "other.safetensors").read_bytes() == file.read_bytes()


def test_tensors_may_be_views_of_any_layout(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)

    write_sealed(tmp_path / "views", {}, {"turned": base.T, "part": base[:, 1]})

    tensors = read_sealed(tmp_path / "views").tensors
    assert torch.equal(tensors["turned"], base.T)
    assert torch.equal(tensors["part"], base[:, 1])


def test_every_single_byte_counts(file: Path) -> None:
    content = file.read_bytes()

    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(REFUSALS):
            read_sealed(file)


def test_a_file_that_ends_early_is_refused_wherever_it_ends(file: Path) -> None:
    content = file.read_bytes()

    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(REFUSALS):
            read_sealed(file)


def test_more_than_was_written_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")

    with pytest.raises(REFUSALS):
        read_sealed(file)


@pytest.mark.parametrize("metadata", [None, {}, {"fdmo": "[]"}, {"fdmo": "{}"}, {"fdmo": "no"}])
def test_a_file_without_a_seal_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file(TENSORS, tmp_path / "plain", metadata)

    with pytest.raises(ValueError, match=r"header lacks what fdmo writes|Expecting value"):
        read_sealed(tmp_path / "plain")


def test_a_header_that_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes((2**62).to_bytes(8, "little") + b"{}")

    with pytest.raises(ValueError, match=f"its header would have {2**62} bytes"):
        read_sealed(tmp_path / "huge")


def test_a_head_may_hold_what_looks_like_a_place_for_a_digest(tmp_path: Path) -> None:
    head = {"note": sealed.NO_DIGEST}

    write_sealed(tmp_path / "odd", head, {"zeros": torch.zeros(64, dtype=torch.uint8) + 48})

    assert read_sealed(tmp_path / "odd").head == head


def test_the_old_file_is_kept_under_another_name(file: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.safetensors"

    write_sealed(file, {"step": 4}, TENSORS, keep_old_as=old)

    assert (read_sealed(old).head, read_sealed(file).head) == (HEAD, {"step": 4})


def test_without_an_old_file_there_is_nothing_to_keep(tmp_path: Path) -> None:
    write_sealed(tmp_path / "new", HEAD, TENSORS, keep_old_as=tmp_path / "old")

    assert [one.name for one in tmp_path.iterdir()] == ["new"]


def test_others_may_read_it_as_the_umask_says(file: Path) -> None:
    plain = file.with_name("plain")
    plain.touch()

    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_folder_that_is_not_there_is_one_message_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"Cannot write .*one: "):
        write_sealed(tmp_path / "gone" / "one", HEAD, TENSORS)

    assert list(tmp_path.iterdir()) == []
