"""Writes a run's folder as the run goes on, and takes up again what the folder holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fdmo_core.checkpoint import (
    Interval,
    Position,
    checkpoint_files,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.data import describe_data
from fdmo_core.dictionary_progress import DictionaryProgress
from fdmo_core.errors import RunFolderError
from fdmo_core.files import as_json, remove_left_over, write_json, write_text
from fdmo_core.interfaces import FeatureDictionary
from fdmo_core.journal import Journal
from fdmo_core.manifest import (
    ENVIRONMENT_FILE,
    METRICS_FILE,
    NOT_LISTED,
    add_to_manifest,
    files_below,
    require_intact,
)
from fdmo_core.network import Network
from fdmo_core.nonfinite import NumberGuard, count_skipped
from fdmo_core.phase2 import empty_dictionary
from fdmo_core.prefix import digest_stages
from fdmo_core.run_folder import describe_environment, save_model
from fdmo_core.samples import Splits
from fdmo_core.stopping import StopRequest

SOURCES_FILE = "sources.json"  # of the dictionary, written last
HEALTH_FILE = "health.json"


@dataclass
class Recorder:
    """A run's folder while the run goes on. The first process writes, all read.

    Attributes:
        folder: The run folder; on storage of all processes, where they are on several machines.
        run: The configuration.
        splits: The opened data set.
        compute: Device and processes.
        stop: Whether the run was asked to stop.
    """

    folder: Path
    run: Run
    splits: Splits
    compute: Compute
    stop: StopRequest = field(default_factory=StopRequest)

    def __post_init__(self) -> None:
        self._interval = Interval(self.run.core.checkpoint)

    def begin(self, command: str, *, phase1_from: Path | None = None) -> None:
        """Write what is known before the run: data, environment and, last, the configuration.

        Args:
            command: What was typed.
            phase1_from: Folder of the run that phase 1 is from, if it is another's.
        """
        if not self.compute.world.is_first:
            return
        remove_left_over(self.folder)
        environment = describe_environment(self.run, self.compute, command=command) | {
            "phase1_from": None if phase1_from is None else str(phase1_from.resolve()),
            "config": self.run.as_dict(),
        }
        config = self.run.as_toml()
        write_json(self.folder / "data.json", describe_data(self.splits))
        write_json(self.folder / ENVIRONMENT_FILE, environment)
        known = {"config.toml": config.encode()}
        add_to_manifest(self.folder, ["data.json", ENVIRONMENT_FILE], soon=known)
        write_text(self.folder / "config.toml", config)

    def after_step(
        self,
        phase: str,
        position: Position,
        module: nn.Module,
        optimizers: Mapping[str, torch.optim.Optimizer],
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        """Save the state of a phase if that is due: by time, by steps, at its end, before a stop.

        Raises:
            Interrupted: The run was asked to stop.
        """
        if not self.compute.world.is_first:
            return
        is_due = position.is_end or self._interval.is_over(position.done)
        if is_due or self.stop.signal is not None:
            save_checkpoint(
                self.folder / "checkpoints",
                phase,
                position=position,
                module=module,
                optimizers=optimizers,
                scaler=scaler,
            )
            self._interval.begin()
        self.stop.obey(f"after step {position.done} of {position.total} of {phase}")

    def restore(
        self,
        phase: str,
        module: nn.Module,
        optimizers: Mapping[str, torch.optim.Optimizer],
        scaler: torch.amp.GradScaler | None = None,
        *,
        journal: Journal,
    ) -> int:
        """Restore a phase from its last checkpoint and return how many steps are done.

        A damaged one is told, and the one before is taken. Without any, no step is done.

        Raises:
            RunFolderError: No checkpoint of those that are there can be used.
        """
        frozen = _frozen_digest(module)
        file = self.compute.world.from_first(partial(self._last_whole, phase, journal))
        if not file:
            return 0
        position = load_checkpoint(Path(file), module=module, optimizers=optimizers, scaler=scaler)
        if frozen != _frozen_digest(module):
            raise RunFolderError(
                f"The checkpoint {file} has other frozen weights than the run begins with now. "
                f"Expected the same. Restore the file of initial weights, or train in a new folder."
            )
        self.compute.world.wait()  # the first process will soon write the next one
        reached = f"step {position.done} of {position.total}"
        journal.notice(f"Taken up from {file}: {phase}, {reached}.")
        return position.done

    def _last_whole(self, phase: str, journal: Journal) -> str:
        """Return the newest checkpoint of a phase that is whole; "" if there is none at all."""
        damage: RunFolderError | None = None
        for file in checkpoint_files(self.folder / "checkpoints", phase):
            if not file.exists():
                continue
            try:
                position = read_checkpoint(file).head
            except RunFolderError as error:
                damage = damage or error
                continue
            if damage is not None:
                journal.notice(
                    f"{damage} The run goes on from the one before, of step {position['done']}."
                )
            return str(file)
        if damage is not None:
            raise damage
        return ""

    def dictionary_progress(self, name: str = "dictionary") -> DictionaryProgress:
        """Return where this process keeps its share of a dictionary while it is built."""
        world = self.compute.world
        return DictionaryProgress(
            self.folder / "checkpoints" / f"{name}-{world.rank}.safetensors",
            self.run.core.checkpoint,
            processes=world.size,
            stop=self.stop,
        )

    def restore_dictionary(self, model: Network, journal: Journal) -> FeatureDictionary | None:
        """Return the dictionary that is in the folder; None if there is none that is whole."""
        if not self.compute.world.from_first(partial(self._has_dictionary, journal)):
            return None
        dictionary = empty_dictionary(self.run, model, num_classes=model.num_classes)
        dictionary.load(self.folder / "dictionary")
        return dictionary

    def _has_dictionary(self, journal: Journal) -> bool:
        if not (self.folder / "dictionary" / SOURCES_FILE).is_file():
            return False
        try:
            require_intact(self.folder, part="dictionary")
        except RunFolderError as error:
            journal.notice(f"{error} The dictionary is built anew.")
            return False
        return True

    def guard(
        self, phase: str, journal: Journal, *, first_step: int = 0, is_shared: bool = False
    ) -> NumberGuard:
        """Return what watches over the numbers of a phase that goes on with a step.

        Args:
            phase: Such as ``"phase1"``.
            journal: Told what is skipped.
            first_step: Where the phase goes on.
            is_shared: Whether each process sees something else, and so writes for itself.

        Raises:
            RunFolderError: A diagnosis, which says that a step was skipped, is damaged.
        """
        world = self.compute.world
        skipped = 0
        if not is_shared:
            count = partial(count_skipped, self.folder, phase, before=first_step)
            skipped = world.from_first(count)
        return NumberGuard(
            phase,
            config=self.run.core.nonfinite,
            folder=self.folder if world.is_first or is_shared else None,
            splits=self.splits,
            run=self.run.as_dict(),
            journal=journal,
            skipped=skipped,
        )

    def keep_dictionary(self, dictionary: FeatureDictionary) -> None:
        """Save the dictionary and then the source of every row, by number and by name."""
        if not self.compute.world.is_first:
            return
        folder = self.folder / "dictionary"
        dictionary.save(folder)
        sources = [self.splits.train.source(row) for row in dictionary.sources.tolist()]
        self._write_last(f"dictionary/{SOURCES_FILE}", sources, files_below(folder))
        self._remove_checkpoints("dictionary-*")

    def keep_health(self, figures: Mapping[str, Any] | None) -> None:
        """Write what :class:`~fdmo_core.health.HealthWatch` found, if there is something."""
        if self.compute.world.is_first and figures is not None:
            write_json(self.folder / HEALTH_FILE, figures)

    def finish(self, model: Network, metrics: Mapping[str, Any]) -> None:
        """Write the trained model and its metrics; only the last checkpoint of a phase stays."""
        if not self.compute.world.is_first:
            return
        save_model(self.folder, model, self.run, self.splits)
        self._remove_checkpoints("*.previous.safetensors", "dictionary-*", "ensemble-*")
        self._write_last(METRICS_FILE, metrics, files_below(self.folder))

    def _remove_checkpoints(self, *patterns: str) -> None:
        for pattern in patterns:
            for old in (self.folder / "checkpoints").glob(pattern):
                old.unlink()

    def _write_last(self, name: str, content: Any, others: Iterable[Path]) -> None:
        """Write a file that says that something is finished, once all is in the manifest."""
        names = {file.relative_to(self.folder).as_posix() for file in others}
        text = as_json(content)
        soon = {name: text.encode()}
        add_to_manifest(self.folder, names - {name, *NOT_LISTED}, soon=soon)
        write_text(self.folder / name, text)


def _frozen_digest(module: nn.Module) -> str:
    """Return a digest of the frozen prefix that both streams share, if the module has one."""
    return digest_stages(module.shared_stages) if isinstance(module, Network) else ""
