"""Files of weights: read from disk, or fetched as torch.hub does; none of them can run code."""

import hashlib
import re
import zipfile
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from urllib.parse import urlparse

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fdmo_core.errors import ConfigError

MIB = 2**20


def largest_file(model: nn.Module) -> int:
    """Return how many bytes a file with a model's weights may have.

    Twice what the model itself has leaves room for double precision.
    """
    size: int = sum(tensor.nbytes for tensor in model.state_dict().values())
    return 2 * size + MIB


def read_weights(path: Path, *, max_bytes: int) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Args:
        path: A safetensors file, if it is called so; otherwise what ``torch.save`` wrote of a
            ``state_dict()``.
        max_bytes: Above which nothing is read, packed or unpacked.

    Raises:
        ConfigError: The file is missing, too large, broken, or holds anything but named tensors.
    """
    if not path.is_file():
        raise ConfigError(
            f"There is no file {path}. Expected weights as safetensors or as a PyTorch state "
            f"dict. Check the path, which counts from the working directory."
        )
    size = _unpacked_size(path)
    if size > max_bytes:
        raise ConfigError(
            f"{path} holds {size / MIB:,.0f} MiB. Expected at most {max_bytes / MIB:,.0f} MiB, "
            f"twice what the model has. Choose a file with the weights of this model alone."
        )
    return _named_tensors(path, _content(path))


def _unpacked_size(path: Path) -> int:
    size = path.stat().st_size
    if not zipfile.is_zipfile(path):
        return size
    try:
        with zipfile.ZipFile(path) as archive:
            return max(size, sum(entry.file_size for entry in archive.infolist()))
    except zipfile.BadZipFile:
        return size  # whoever reads it says what is wrong


def _content(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # its own text advises to run the code
        raise ConfigError(
            f"{path} is no file of weights, or holds objects that could run code. Expected "
            f"tensors and nothing else. Save model.state_dict() alone, best as safetensors."
        ) from error
    except Exception as error:  # safetensors and torch raise types of their own
        raise ConfigError(
            f"{path} cannot be read: {str(error).partition(chr(10))[0]}. Expected a whole "
            f"safetensors file or PyTorch state dict. Copy or download it again."
        ) from error
    return content


def _named_tensors(path: Path, content: object) -> dict[str, Tensor]:
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path} holds one {type(content).__name__}. Expected tensors by name. Save "
            f"model.state_dict()."
        )
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ConfigError(
                f"{path} holds a {type(tensor).__name__} under {name!r}. Expected tensors by "
                f"name and nothing else. Save model.state_dict() alone."
            )
    return content


def fetched(url: str, *, download: bool) -> Path:
    """Return the path of a published file in torch.hub's folder, where it has what was published.

    Args:
        url: Where the file is published. Its name ends in the first digits of its SHA-256.
        download: Whether it is fetched if it is not in the folder.

    Raises:
        ConfigError: The file cannot be had or is damaged; the message says where to put it.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)
    named = re.search(r"-([0-9a-f]+)\.\w+$", path.name)
    digest = named[1] if named else ""
    if not path.exists():
        _download(url, path, digest, allowed=download)
    _check_digest(path, digest)
    return path


def _download(url: str, path: Path, digest: str, *, allowed: bool) -> None:
    way_out = (
        f"Expected it at {path}. Put the file of {url} there, or give its path as weights_file"
    )
    if not allowed:
        raise ConfigError(
            f"The weights {path.name} are not on this machine and download is off. {way_out}, or "
            f"set download to true."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), digest or None)
    except (OSError, RuntimeError, HTTPException) as error:
        raise ConfigError(
            f"The weights {path.name} cannot be downloaded: {error}. {way_out}."
        ) from error


def _check_digest(path: Path, digest: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(digest):
        raise ConfigError(
            f"{path} is damaged: its SHA-256 begins with {found[: len(digest)]}. Expected "
            f"{digest}, as its name says. Delete the file, so that it is fetched again."
        )
