import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fdmo_core.errors import RunFolderError
from fdmo_core.files import (
    make_folder,
    readable_size,
    replacing,
    write_json,
    write_tensors,
    write_text,
)
from fdmo_core.sealed import read_sealed, write_sealed

WRITES_TOO_MUCH = """
import resource, signal, sys
from pathlib import Path
import torch
from fdmo_core.errors import RunFolderError
from fdmo_core.files import write_json, write_tensors, write_text

folder = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as on a full disk, writing fails and nobody dies
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write, content in (
    (write_text, "x" * 100_000),
    (write_json, list(range(100_000))),
    (write_tensors, {"weights": torch.zeros(100_000)}),
):
    try:
        write(folder / write.__name__, content)
    except RunFolderError as error:
        print(error)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    with replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path
        assert not (tmp_path / "file.txt").exists()

    assert names(tmp_path) == ["file.txt"]
    assert (tmp_path / "file.txt").read_text() == "half"


def test_a_file_is_replaced_by_another_one_and_never_written_into(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    with path.open() as reader:
        write_text(path, "new")

        assert reader.read() == "old"  # a reader keeps the whole old file
    assert path.read_text() == "new"


def test_a_failure_halfway_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "old")

    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text(f"half, {temporary.write_text('half') // 0}")

    assert names(tmp_path) == ["file.txt"]
    assert (tmp_path / "file.txt").read_text() == "old"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB, where the system lets one be made."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no disk can be made here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_with_what_is_missing(small_disk: Path) -> None:
    write_text(small_disk / "old", "x" * 2**19)
    tensors = {"weights": torch.zeros(2**20)}

    for write, content, needed in (
        (write_text, "y" * 2**20, "1.00 MiB"),
        (write_tensors, tensors, "4.00 MiB"),
        (write_sealed_one, tensors, "4.00 MiB"),
    ):
        with pytest.raises(RunFolderError) as caught:
            write(small_disk / "new", content)  # type: ignore[arg-type]
        told = str(caught.value)
        assert "No space left on device" in told
        missing = "512.00 KiB" if needed == "1.00 MiB" else "3.50 MiB"
        assert f"It needs {needed}, and 512.00 KiB are free: {missing} are missing." in told
        assert names(small_disk) == ["old"]


def write_sealed_one(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    write_sealed(path, {}, tensors)


def test_a_full_disk_leaves_the_last_checkpoint(small_disk: Path) -> None:
    file, before = small_disk / "phase1.safetensors", small_disk / "phase1.previous.safetensors"
    write_sealed(file, {"done": 1}, {"weights": torch.zeros(2**17)}, keep_old_as=before)

    with pytest.raises(RunFolderError):
        write_sealed(file, {"done": 2}, {"weights": torch.zeros(2**18)}, keep_old_as=before)

    assert names(small_disk) == ["phase1.safetensors"]
    assert read_sealed(file).head == {"done": 1}


@pytest.mark.parametrize(
    ("num_bytes", "told"),
    [(1, "0.00 KiB"), (1536, "1.50 KiB"), (2**20, "1.00 MiB"), (5 * 2**29, "2.50 GiB")],
)
def test_sizes_are_told_as_people_read_them(num_bytes: int, told: str) -> None:
    assert readable_size(num_bytes) == told


def test_no_space_is_one_message_and_leaves_the_old_file(tmp_path: Path) -> None:
    writers = ["write_json", "write_tensors", "write_text"]
    for name in writers:
        (tmp_path / name).write_text("old")

    done = subprocess.run(
        [sys.executable, "-c", WRITES_TOO_MUCH, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )

    for name, message in zip(writers, sorted(done.stdout.splitlines()), strict=True):
        assert message.startswith(f"Cannot write {tmp_path / name}: ")
        assert "File too large" in message
        assert message.endswith(
            "Expected a writable folder with enough free space. Free some space or choose another "
            "folder with --out."
        )
        assert (tmp_path / name).read_text() == "old"
    assert names(tmp_path) == writers


@pytest.mark.parametrize("kind", ["text", "tensors"])
def test_a_missing_folder_is_one_message(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "missing" / "file"

    with pytest.raises(RunFolderError) as caught:
        write_text(path, "text") if kind == "text" else write_tensors(path, {})

    assert str(caught.value).startswith(f"Cannot write {path}: ")
    assert "No such file or directory" in str(caught.value)


def test_json_is_readable_and_keeps_every_letter(tmp_path: Path) -> None:
    write_json(tmp_path / "data.json", {"name": "gar\u00e7on", "counts": [1, 2]})

    text = (tmp_path / "data.json").read_text(encoding="utf-8")
    assert text == '{\n  "name": "gar\u00e7on",\n  "counts": [\n    1,\n    2\n  ]\n}\n'
    assert json.loads(text) == {"name": "gar\u00e7on", "counts": [1, 2]}


def test_tensors_are_written_whatever_their_layout(tmp_path: Path) -> None:
    kernel = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    tensors = {
        "learned": torch.nn.Parameter(torch.eye(3)),
        "kernel": kernel,
        "turned": torch.arange(6).reshape(2, 3).T,
        "number": torch.tensor(7),
    }

    write_tensors(tmp_path / "tensors", tensors)

    found = load_file(tmp_path / "tensors")
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name].numpy(), tensor.detach().numpy())
        assert found[name].dtype == tensor.dtype


def test_tensors_are_as_readable_as_text(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "words")
    write_tensors(tmp_path / "tensors", {"one": torch.zeros(1)})

    assert (tmp_path / "tensors").stat().st_mode == (tmp_path / "text").stat().st_mode


def test_a_folder_is_made_with_those_above_it_and_left_as_it_is(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "one" / "two")

    assert (tmp_path / "one" / "two").is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunFolderError, match=r"Cannot write .*file/folder: Not a directory\."):
        make_folder(tmp_path / "file" / "folder")


def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(RunFolderError, match=r"pipe is a device or a pipe\. Expected the name of"):
        write_json(tmp_path / "pipe", {})

    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["x" * 255, "🦜" * 63, "a \"b\"\n'c'", "a\\b"])
def test_any_name_that_the_system_takes_can_be_written(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "old")
    write_text(tmp_path / name, "new")

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "new"


def test_a_name_that_is_too_long_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="File name too long"):
        write_text(tmp_path / ("x" * 256), "text")
    assert names(tmp_path) == []


def test_a_loop_of_links_is_replaced_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    write_text(tmp_path / "loop", "text")

    assert (tmp_path / "loop").read_text() == "text"
