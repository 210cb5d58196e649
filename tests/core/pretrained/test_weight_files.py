import hashlib
import os
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fdmo_core import ConfigError
from fdmo_core.pretrained.weight_files import MIB, fetched, largest_file, read_weights

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "b.steps": torch.tensor(7)}


def read(path: Path, *, max_bytes: int = MIB) -> dict[str, Tensor]:
    return read_weights(path, max_bytes=max_bytes)


def assert_is_weights(found: dict[str, Tensor]) -> None:
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in WEIGHTS.items())


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "w.safetensors")

    assert_is_weights(read(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_of_torch_is_read_in_both_of_its_formats(tmp_path: Path, zipped: bool) -> None:
    torch.save(WEIGHTS, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)

    assert_is_weights(read(tmp_path / "w.pth"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no file .*gone\.pth.*Check the path"):
        read(tmp_path / "gone.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_above_the_limit_is_not_read(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(3 * MIB)

    with pytest.raises(ConfigError, match=r"holds 3 MiB\. Expected at most 1 MiB"):
        read(tmp_path / name)


def test_what_a_file_unpacks_to_counts_as_its_size(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(3 * MIB))
    assert (tmp_path / "w.pth").stat().st_size < MIB

    with pytest.raises(ConfigError, match="holds 3 MiB"):
        read(tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    whole, part = tmp_path / f"whole{suffix}", tmp_path / f"part{suffix}"
    save_file(WEIGHTS, whole) if suffix == ".safetensors" else torch.save(WEIGHTS, whole)
    content = whole.read_bytes()
    part.write_bytes(content[: int(kept * len(content))])

    with pytest.raises(ConfigError, match=rf"part{suffix} cannot be read: .*again"):
        read(part)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    content = {"a.weight": Trap(tmp_path / "sprung")}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)

    with pytest.raises(ConfigError, match="holds objects that could run code"):
        read(tmp_path / "w.pth")

    assert not (tmp_path / "sprung").exists()


def test_what_is_no_file_of_weights_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_text("<html>404</html>")

    with pytest.raises(ConfigError, match="is no file of weights"):
        read(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (torch.zeros(2), "holds one Tensor"),
        ({"epoch": 3, "state_dict": WEIGHTS}, "holds a int under 'epoch'"),
        ({3: torch.zeros(2)}, "holds a Tensor under 3"),
    ],
)
def test_anything_but_named_tensors_is_refused(tmp_path: Path, content: object, told: str) -> None:
    torch.save(content, tmp_path / "w.pth")

    with pytest.raises(ConfigError, match=rf"{told}.*Save model\.state_dict\(\)"):
        read(tmp_path / "w.pth")


def test_the_limit_leaves_room_for_double_precision(tmp_path: Path) -> None:
    model = nn.Linear(1000, 500)
    torch.save(model.double().state_dict(), tmp_path / "w.pth")

    limit = largest_file(model.float())

    assert (tmp_path / "w.pth").stat().st_size < limit == 2 * 4 * 500 * 1001 + MIB
    assert read(tmp_path / "w.pth", max_bytes=limit).keys() == {"weight", "bias"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub's folder of files, not yet made."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A file that has the beginning of its SHA-256 in its name, as torchvision's have."""
    content = b"published weights"
    path = tmp_path / "site" / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.parent.mkdir()
    path.write_bytes(content)
    return path


def test_a_file_is_fetched_into_the_folder_of_torch_hub(hub: Path, published: Path) -> None:
    path = fetched(published.as_uri(), download=True)

    assert path == hub / published.name
    assert path.read_bytes() == published.read_bytes()


def test_a_file_that_is_there_is_not_fetched_again(hub: Path, published: Path) -> None:
    fetched(published.as_uri(), download=True)
    published.unlink()

    assert fetched(published.as_uri(), download=False) == hub / published.name


@pytest.mark.usefixtures("hub")
def test_without_download_the_message_says_where_to_put_the_file(published: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        fetched(published.as_uri(), download=False)

    assert str(caught.value) == (
        f"The weights {published.name} are not on this machine and download is off. Expected it "
        f"at {torch.hub.get_dir()}/checkpoints/{published.name}. Put the file of "
        f"{published.as_uri()} there, or give its path as weights_file, or set download to true."
    )


def test_a_download_that_fails_says_where_to_put_the_file(hub: Path, published: Path) -> None:
    published.unlink()

    with pytest.raises(ConfigError) as caught:
        fetched(published.as_uri(), download=True)

    assert "cannot be downloaded" in str(caught.value)
    assert f"Expected it at {hub / published.name}" in str(caught.value)
    assert published.as_uri() in str(caught.value)
    assert list(hub.iterdir()) == []


def test_a_download_with_other_content_is_not_kept(hub: Path, published: Path) -> None:
    published.write_bytes(b"other weights")

    with pytest.raises(ConfigError, match="cannot be downloaded: invalid hash value"):
        fetched(published.as_uri(), download=True)

    assert list(hub.iterdir()) == []


def test_a_damaged_file_in_the_folder_is_refused(hub: Path, published: Path) -> None:
    hub.mkdir(parents=True)
    (hub / published.name).write_bytes(b"half of it")

    with pytest.raises(ConfigError, match=r"is damaged: its SHA-256 begins with .*Delete the file"):
        fetched(published.as_uri(), download=True)
