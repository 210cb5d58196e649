"""Numbers that are not finite: told by one message, written down, and the step stopped or skipped.

A diagnosis is a file ``diagnosis-PHASE-STEP.json`` in the run folder. Those of skipped steps say
how many were skipped, so that a run that goes on keeps count, and no checkpoint needs to.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from fdmo_core.errors import NonFiniteError, RunFolderError
from fdmo_core.faults import BadBatch, Fault
from fdmo_core.files import write_json
from fdmo_core.journal import Journal
from fdmo_core.json_files import read_json
from fdmo_core.samples import Splits
from fdmo_core.settings import Settings

NUM_NAMED = 3  # classes, images and parameters in a message; the file has all
NUM_RECENT = 5  # steps whose terms the file has, before the one that failed
SKIPPED, STOPPED = "skipped", "stopped"


class NonfiniteConfig(Settings):
    """What happens when a step comes to a loss, a gradient or a weight that is not finite."""

    action: Literal["stop", "skip"] = Field(
        default="stop", description="Stop the run, or go on as if the step had not been done."
    )
    limit: int = Field(
        default=10,
        ge=0,
        description="Steps of a phase that may be skipped; one more stops the run.",
    )


@dataclass
class NumberGuard:
    """Tells what is not finite in a phase, and decides whether the phase goes on.

    Every process of a run decides for itself. Losses are of all processes' rows and gradients are
    averaged, so all find the same; the first one writes.

    Attributes:
        phase: Such as ``"phase1"``.
        config: Stop or skip.
        folder: Where the diagnosis goes; None writes none.
        splits: Name classes and images; without them they are told by number.
        run: The configuration as plain data, for the diagnosis.
        journal: Told what is skipped.
        skipped: Steps of the phase that were skipped before.
    """

    phase: str
    config: NonfiniteConfig = field(default_factory=NonfiniteConfig)
    folder: Path | None = None
    splits: Splits | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    skipped: int = 0
    _recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=NUM_RECENT))

    @property
    def skips(self) -> bool:
        """Whether a step may have to be undone."""
        return self.config.action == "skip"

    def passed(self, step: int, terms: Mapping[str, float]) -> None:
        """Take note of a step in which all was finite."""
        self._recent.append({"step": step, **terms})

    def refuse(self, step: int, fault: Fault, *, can_skip: bool = True) -> None:
        """Write the diagnosis of a step, and stop the run unless the step is skipped.

        Args:
            step: Index of the step, from 0.
            fault: What is wrong.
            can_skip: Whether the step can be undone.

        Raises:
            NonFiniteError: The run stops.
        """
        skips = self.skips and can_skip and self.skipped < self.config.limit
        file = self._write(step, fault, SKIPPED if skips else STOPPED)
        what = f"Step {step} of {self.phase} diverged: {self._describe(fault)}."
        told = f" {file} says more." if file else ""
        if skips:
            self.skipped += 1
            self.journal.notice(
                f"{what} It is skipped, number {self.skipped} of at most {self.config.limit}.{told}"
            )
            return
        raise NonFiniteError(
            f"{what} Expected finite numbers. {self._advice(can_skip=can_skip)}{told}"
        )

    def _advice(self, *, can_skip: bool) -> str:
        lower = (
            "Lower the learning rate of phase2 (rebalancer.learning_rate and "
            "generator.learning_rate)"
            if self.phase == "phase2"
            else f"Lower the learning rate of {self.phase} (phase1.learning_rate)"
        )
        if self.skips and can_skip:
            limit = self.config.limit
            return f"As many steps as nonfinite.limit = {limit} are skipped already. {lower}."
        if not can_skip:
            return f"{lower}."
        return f"{lower}, or go on without such steps by nonfinite.action = 'skip'."

    def refuse_features(self, part: int, features: Tensor, batch: BadBatch) -> None:
        """Stop the run because of features that are not finite.

        No step is there to skip, and a dictionary without them would be of other data.

        Args:
            part: Number of the batch, of all processes.
            features: Shape ``(B, F)``.
            batch: Where they are from.

        Raises:
            NonFiniteError: Always.
        """
        fault = Fault({"features": float(features[batch.is_bad].sum())}, batch=batch)
        file = self._write(part, fault, STOPPED)
        told = f" {file} says more." if file else ""
        raise NonFiniteError(
            f"The network gives features that are not finite: {self._describe_batch(batch)}. "
            f"Expected finite numbers. Look at the images; if they are right, lower "
            f"phase1.learning_rate or set compute.precision = 'fp32'.{told}"
        )

    def _describe(self, fault: Fault) -> str:
        parts = [f"{name} is {one}" for name, one in fault.terms.items() if not math.isfinite(one)]
        parts += [str(one) for one in fault.tensors[:NUM_NAMED]]
        if len(fault.tensors) > NUM_NAMED:
            parts.append(f"and {len(fault.tensors) - NUM_NAMED} more")
        if fault.batch is not None and bool(fault.batch.is_bad.any()):
            parts.append(self._describe_batch(fault.batch))
        return ", ".join(parts)

    def _describe_batch(self, batch: BadBatch) -> str:
        if bool(batch.is_bad.all()) and len(batch.labels) > NUM_NAMED:
            return f"all {len(batch.labels)} of the batch"
        classes = [
            f"class '{name}' ({one['bad']} of {one['all']})"
            for name, one in self._classes(batch).items()
            if one["bad"]
        ]
        sources = [source for source, bad in self._sources(batch) if bad]
        return _some(classes) + (f": {_some(sources)}" if sources else "")

    def _classes(self, batch: BadBatch) -> dict[str, dict[str, int]]:
        """Return how many rows each class has in a batch, and how many of them are to blame."""
        names = self.splits.class_names if self.splits else ()
        counts, bad = batch.labels.bincount(), batch.labels[batch.is_bad].bincount()
        return {
            names[label] if names else str(label): {
                "all": int(counts[label]),
                "bad": int(bad[label]) if label < len(bad) else 0,
            }
            for label in torch.nonzero(counts).flatten().tolist()
        }

    def _sources(self, batch: BadBatch) -> list[tuple[str, bool]]:
        if batch.rows is None:
            return []
        split = self.splits.named()[batch.split] if self.splits else None
        return [
            (split.source(row) if split else f"row {row}", bad)
            for row, bad in zip(batch.rows.tolist(), batch.is_bad.tolist(), strict=True)
        ]

    def _write(self, step: int, fault: Fault, outcome: str) -> Path | None:
        if self.folder is None:
            return None
        batch = fault.batch
        content = {
            "phase": self.phase,
            "step": step,
            "outcome": outcome,
            "terms": dict(fault.terms),
            "parameters": [one._asdict() for one in fault.tensors],
            "classes": {} if batch is None else self._classes(batch),
            "batch": []
            if batch is None
            else [{"source": source, "bad": bad} for source, bad in self._sources(batch)],
            "learning_rates": dict(fault.rates),
            "steps_before": list(self._recent),
            "config": dict(self.run),
        }
        file = self.folder / f"diagnosis-{self.phase}-{step}.json"
        write_json(file, _plain(content))
        return file


def _some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - NUM_NAMED
    return ", ".join(names[:NUM_NAMED]) + (f" and {more} more" if more > 0 else "")


def _plain(content: Any) -> Any:
    """Return plain data in which numbers that JSON does not know are strings."""
    if isinstance(content, Mapping):
        return {key: _plain(one) for key, one in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(one) for one in content]
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    return content


def count_skipped(folder: Path, phase: str, *, before: int) -> int:
    """Return how many steps of a phase were skipped before a step, as the diagnoses say.

    Raises:
        RunFolderError: A diagnosis is damaged.
    """
    skipped = 0
    for file in folder.glob(f"diagnosis-{phase}-*.json"):
        try:
            content = read_json(file)
            skipped += content["outcome"] == SKIPPED and content["step"] < before
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"{file} cannot be read: {error!r}. Expected the file as fdmo wrote it, which says "
                f"whether a step was skipped. Restore it from a copy, or remove it if the step was "
                f"not skipped."
            ) from error
    return skipped
