"""A run's folder: what training writes and what evaluation and export read."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from fdmo_core.checkpoint import require_format
from fdmo_core.classifier import describe_classifier, make_classifier
from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.errors import FdmoError, RunFolderError
from fdmo_core.files import write_json, write_tensors
from fdmo_core.json_files import read_json
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.manifest import require_intact
from fdmo_core.model_building import deployed_network
from fdmo_core.network import Network
from fdmo_core.registry import Registry
from fdmo_core.samples import Splits

FORMAT_VERSION = 1
MODEL_KEYS = {
    "class_names",
    "class_counts",
    "landmark_names",
    "main_classifier",
    "data_digest",
    "config",
}
PACKAGES = ("fdmo", "torch", "torchvision", "numpy", "safetensors")


@dataclass(frozen=True)
class TrainedRun:
    """A finished run, read from its folder.

    Attributes:
        folder: Where it is.
        run: Its configuration.
        model: In evaluation mode, with the main classifier of phase 2.
        class_names: In label order.
        class_counts: Training images per class. Shape ``(C,)``, int64.
        landmark_names: In the order of the landmarks; empty without a landmark head.
        data_digest: Digest of the data that it was trained on.
    """

    folder: Path
    run: Run
    model: Network
    class_names: tuple[str, ...]
    class_counts: NDArray[np.int64]
    landmark_names: tuple[str, ...]
    data_digest: str

    @property
    def image_size(self) -> int:
        """Side of the square network input, in pixels."""
        return self.run.image_size

    @property
    def feature_dim(self) -> int:
        """F of a network for features; 0 of one for images."""
        return self.model.input_dim


def create_run_folder(out: Path | None, *, data: str) -> Path:
    """Return a new, empty run folder.

    Args:
        out: Where, or None for the first free ``runs/DATA-NUMBER``.
        data: Name of the data set.

    Raises:
        RunFolderError: The folder exists, or cannot be made.
    """
    if out is None:
        number = 1
        while Path("runs", f"{data}-{number}").exists():
            number += 1
        out = Path("runs", f"{data}-{number}")
    try:
        out.mkdir(parents=True)
        for part in ("checkpoints", "dictionary"):
            (out / part).mkdir()
    except FileExistsError as error:
        raise RunFolderError(
            f"{out} exists already. Expected a folder that is not there yet. Go on with that run "
            f"by --resume, choose another folder with --out, or remove it."
        ) from error
    except OSError as error:
        raise RunFolderError(
            f"Cannot make {out}: {error.strerror}. Expected a place to write to. Choose another "
            f"one with --out."
        ) from error
    return out


def describe_environment(run: Run, compute: Compute, *, command: str) -> dict[str, Any]:
    """Return what ``environment.json`` holds: versions, device, seed, command, plugins."""
    device = compute.device
    origins = {section: getattr(run, section).origin for section in KIND_OF_SECTION}
    return {
        "command": command,
        "seed": run.core.seed,
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "processes": compute.world.size,
        "threads": torch.get_num_threads(),
        "torch_build": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {package: version(package) for package in PACKAGES},
        "plugins": {one.distribution: one.version for one in origins.values()},
        "components": {
            section: {"name": one.name, "distribution": one.distribution, "version": one.version}
            for section, one in origins.items()
        },
    }


def save_model(folder: Path, model: Network, run: Run, splits: Splits) -> None:
    """Write ``model.safetensors``, and what is needed to build the model in ``model.json``."""
    write_tensors(folder / "model.safetensors", model.state_dict())
    write_json(
        folder / "model.json",
        {
            "format": FORMAT_VERSION,
            "class_names": list(splits.class_names),
            "class_counts": splits.counts("train").tolist(),
            "landmark_names": list(splits.landmark_names),
            "stream_dims": list(splits.stream_dims),
            "main_classifier": describe_classifier(model.main_classifier),
            "data_digest": splits.digest,
            "config": run.as_dict(),
        },
    )


def load_run(folder: Path, registry: Registry) -> TrainedRun:
    """Return a finished run.

    Raises:
        RunFolderError: The folder is no finished run, or of another format.
        ConfigError: A plugin is not installed that the network is made with; one that only
            training needed may be gone.
    """
    require_intact(folder, "model.json", "model.safetensors")
    try:
        head = read_json(folder / "model.json")
        tensors = load_file(folder / "model.safetensors")
        found = head.get("format")
    except Exception as error:  # safetensors raises a type of its own
        raise RunFolderError(
            f"{folder} is not a finished run: {error}. Expected a folder that 'fdmo train' wrote "
            f"to its end, with model.json and model.safetensors. Check the path, or train again."
        ) from error
    require_format(found, f"The model in {folder}", FORMAT_VERSION)
    missing = sorted(MODEL_KEYS - head.keys())
    if missing:
        raise RunFolderError(
            f"{folder / 'model.json'} lacks {', '.join(missing)}. Expected the file as 'fdmo "
            f"train' wrote it. Train again."
        )
    run = resolve_run(head["config"], registry.with_runs(folder), is_trained=True)
    try:
        return _rebuild(folder, run, head, tensors)
    except FdmoError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise RunFolderError(
            f"The weights in {folder} do not fit the model that model.json describes: {reason} "
            f"Expected both from one run. Use the plugin versions that environment.json names."
        ) from error


def _rebuild(
    folder: Path, run: Run, head: Mapping[str, Any], tensors: dict[str, Tensor]
) -> TrainedRun:
    class_names = tuple(head["class_names"])
    model = deployed_network(
        run,
        num_classes=len(class_names),
        num_landmarks=len(head["landmark_names"]),
        stream_dims=head.get("stream_dims", ()),  # not there before data could be features
    )
    model.main_classifier = make_classifier(
        head["main_classifier"], sum(model.stream_dims), len(class_names)
    )
    model.load_state_dict(tensors)
    model.share_prefix()
    return TrainedRun(
        folder,
        run,
        model.eval(),
        class_names,
        np.array(head["class_counts"], dtype=np.int64),
        tuple(head["landmark_names"]),
        head["data_digest"],
    )
