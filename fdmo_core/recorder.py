"""Writes a run's folder as the run goes on, and takes up again what the folder holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fdmo_core.checkpoint import load_checkpoint, save_checkpoint
from fdmo_core.component_origins import ENVIRONMENT_FILE
from fdmo_core.compute import Compute
from fdmo_core.config import Run, read_toml
from fdmo_core.data import describe_data
from fdmo_core.errors import ConfigError, RunFolderError
from fdmo_core.files import write_json, write_text
from fdmo_core.interfaces import FeatureDictionary
from fdmo_core.network import Network
from fdmo_core.phase1 import as_it_applies
from fdmo_core.phase2 import empty_dictionary
from fdmo_core.prefix import digest_stages
from fdmo_core.run_folder import describe_environment, save_model
from fdmo_core.samples import Splits

DECIDE_PHASE1 = (
    "seed",
    "data",
    "augmentation",
    "texture_stream",
    "shape_stream",
    "landmark_head",
    "model",
    "phase1",
    "dictionary",
    "compute",
)


@dataclass(frozen=True)
class Recorder:
    """A run's folder while the run goes on. The first process writes, all read.

    Attributes:
        folder: The run folder; on storage of all processes, where they are on several machines.
        run: The configuration.
        splits: The opened data set.
        compute: Device and processes.
    """

    folder: Path
    run: Run
    splits: Splits
    compute: Compute

    def begin(self, command: str) -> None:
        """Write what is known before the run: configuration, environment and data."""
        if not self.compute.world.is_first:
            return
        environment = describe_environment(
            self.run, device=self.compute.device, command=command
        ) | {"processes": self.compute.world.size}
        write_text(self.folder / "config.toml", self.run.as_toml())
        write_json(self.folder / ENVIRONMENT_FILE, environment)
        write_json(self.folder / "data.json", describe_data(self.splits))

    def checkpoint(
        self,
        phase: str,
        done: int,
        module: nn.Module,
        optimizers: Mapping[str, torch.optim.Optimizer],
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        """Save the state of a phase; see :func:`fdmo_core.checkpoint.save_checkpoint`."""
        if self.compute.world.is_first:
            save_checkpoint(
                self.folder / "checkpoints",
                phase,
                done=done,
                module=module,
                optimizers=optimizers,
                scaler=scaler,
            )

    def restore(
        self,
        phase: str,
        module: nn.Module,
        optimizers: Mapping[str, torch.optim.Optimizer],
        scaler: torch.amp.GradScaler | None = None,
    ) -> int:
        """Restore a phase from its checkpoint and return how much is done; 0 if there is none."""
        checkpoints = self.folder / "checkpoints"
        frozen = _frozen_digest(module)
        if not self.compute.world.all((checkpoints / f"{phase}.safetensors").exists()):
            return 0
        done = load_checkpoint(
            checkpoints, phase, module=module, optimizers=optimizers, scaler=scaler
        )
        if frozen != _frozen_digest(module):
            raise RunFolderError(
                f"The checkpoint of {phase} in {checkpoints} has other frozen weights than the "
                f"run begins with now. Expected the same. Restore the file of initial weights, or "
                f"train in a new folder."
            )
        self.compute.world.wait()  # the first process will soon write the next one
        return done

    def keep_dictionary(self, dictionary: FeatureDictionary) -> None:
        """Save the dictionary with the source of every row, by number and by name."""
        if not self.compute.world.is_first:
            return
        folder = self.folder / "dictionary"
        dictionary.save(folder)
        sources = [self.splits.train.source(row) for row in dictionary.sources.tolist()]
        write_json(folder / "sources.json", sources)

    def finish(self, model: Network, metrics: Mapping[str, Any]) -> None:
        """Write the trained model and its metrics."""
        if self.compute.world.is_first:
            save_model(self.folder, model, self.run, self.splits)
            write_json(self.folder / "metrics.json", metrics)


def borrow_phase1(model: Network, recorder: Recorder, lender: Path) -> FeatureDictionary:
    """Give a model the weights that another run's phase 1 learned, and return its dictionary.

    Args:
        model: Changed in place.
        recorder: Of the run that borrows.
        lender: Run folder of the other one.

    Raises:
        ConfigError: The other run's phase 1 was configured otherwise.
        RunFolderError: The other run's phase 1 is not finished.
    """
    theirs, ours = read_toml(lender / "config.toml"), recorder.run.as_dict()
    differing = [key for key in DECIDE_PHASE1 if theirs.get(key) != ours[key]]
    differing += [
        f"cache.{key}"
        for key in ("precision", "views")
        if theirs.get("cache", {}).get(key) != ours["cache"][key]
    ]
    if differing:
        raise ConfigError(
            f"Phase 1 of {lender} was configured otherwise in: {', '.join(differing)}. Expected "
            f"equal settings. Use the settings of {lender / 'config.toml'}, or train phase 1 anew."
        )
    return load_phase1(model, recorder, lender)


def load_phase1(model: Network, recorder: Recorder, lender: Path) -> FeatureDictionary:
    """Give a model the weights of a finished phase 1 of the same settings; return its dictionary.

    Args:
        model: Changed in place.
        recorder: Of the run that the model is of.
        lender: Run folder that holds the phase 1; may be the recorder's own.

    Raises:
        ConfigError: The data is not what phase 1 was trained on.
        RunFolderError: Phase 1 is not finished.
    """
    digest = _read_digest(lender)
    if digest != recorder.splits.digest:
        raise ConfigError(
            f"Phase 1 of {lender} was trained on other data, of digest {digest}. Expected "
            f"{recorder.splits.digest}. Restore the data, or train phase 1 anew."
        )
    config = as_it_applies(recorder.run.core.phase1, model)
    done = load_checkpoint(lender / "checkpoints", "phase1", module=model, optimizers={})
    if done != config.shape_epochs + config.epochs:
        raise RunFolderError(
            f"Phase 1 of {lender} has {done} epochs done. Expected all "
            f"{config.shape_epochs + config.epochs}. Let that run finish first."
        )
    model.share_prefix()  # the initial weights may be others today
    dictionary = empty_dictionary(recorder.run, model, num_classes=model.num_classes)
    dictionary.load(lender / "dictionary")
    return dictionary


def _frozen_digest(module: nn.Module) -> str:
    """Return a digest of the frozen prefix that both streams share, if the module has one."""
    return digest_stages(module.shared_stages) if isinstance(module, Network) else ""


def _read_digest(lender: Path) -> str:
    """Return the digest of the data that a run was trained on."""
    file = lender / "data.json"
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{file} cannot be read: {error}. Expected the file that 'fdmo train' wrote. Train "
            f"phase 1 anew."
        ) from error
