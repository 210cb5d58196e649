"""What phase 1 leaves behind, as features: all that phase 2 needs, without an image or a network.

Phase 2 of any configuration can be repeated on it within seconds, so that methods are compared on
the very same features.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from fdmo_core.classifier import LinearClassifier
from fdmo_core.errors import DataError, RunFolderError
from fdmo_core.files import write_json, write_tensors
from fdmo_core.interfaces import FeatureBatch, HeldOut, HeldOutSource, LabelledFeatures
from fdmo_core.json_files import read_json

TENSORS_FILE = "features.safetensors"
FACTS_FILE = "features.json"
FORMAT_VERSION = 1
ROWS_A_PART = 4096


@dataclass(frozen=True)
class FeatureSpace:
    """Features of all splits in one space, with the classifier that phase 1 trained on it.

    Attributes:
        class_names: In label order.
        class_counts: Training images per class. Shape ``(C,)``, int64.
        stream_dims: Length of each stream's feature; they sum to F.
        classifier: Phase 1's main classifier.
        train: Of the training images, or of as many as the dictionary's cap lets in.
        splits: ``"val"`` and ``"test"``; a split may be empty.
        out_of_fold: The rows of ``train`` again, each as a model sees it that was trained without
            it; None where no such models were trained.
    """

    class_names: tuple[str, ...]
    class_counts: Tensor
    stream_dims: tuple[int, ...]
    classifier: LinearClassifier
    train: FeatureBatch
    splits: Mapping[str, LabelledFeatures]
    out_of_fold: HeldOut | None = None

    @torch.no_grad()
    def held_out(self, source: HeldOutSource) -> HeldOut:
        """Return images that phase 1 did not learn from; see :class:`Phase2Parts`.

        Raises:
            DataError: There are none of that kind.
        """
        if source == "out-of-fold":
            if self.out_of_fold is None:
                raise DataError(
                    "There are no out-of-fold scores. Expected a feature space with them. Train "
                    "with a rebalancer that asks for them, or choose fit_on = 'validation'."
                )
            return self.out_of_fold
        features, labels = self.splits["val"]
        if not len(labels):
            raise DataError(
                "The validation split is empty. Expected rows to choose a strength on. Give the "
                "data a validation split, or choose fit_on = 'out-of-fold'."
            )
        return HeldOut(features, self.classifier(features), labels)

    def rows(self, *, cross_fitted: bool) -> Iterator[FeatureBatch]:
        """Yield what a dictionary is built from, in parts of bounded size.

        Args:
            cross_fitted: Whether each row's feature comes from a model that was trained without
                it.
        """
        features = self.held_out("out-of-fold").features if cross_fitted else self.train.features
        columns = (features, self.train.labels, self.train.sources)
        for part in zip(*(column.split(ROWS_A_PART) for column in columns), strict=True):
            yield FeatureBatch(*part)

    def save(self, folder: Path) -> None:
        """Write two files into an existing folder."""
        held = {} if self.out_of_fold is None else self.out_of_fold._asdict()
        held.pop("labels", None)  # those of the same rows of train
        tensors = {
            "class_counts": self.class_counts,
            **{f"classifier.{key}": one for key, one in self.classifier.state_dict().items()},
            **{f"train.{key}": one for key, one in self.train._asdict().items()},
            **{f"out_of_fold.{key}": one for key, one in held.items()},
        }
        for name, split in self.splits.items():
            tensors |= {f"{name}.{key}": one for key, one in split._asdict().items()}
        write_tensors(folder / TENSORS_FILE, tensors)
        facts = {
            "format": FORMAT_VERSION,
            "class_names": list(self.class_names),
            "stream_dims": list(self.stream_dims),
        }
        write_json(folder / FACTS_FILE, facts)

    @classmethod
    def load(cls, folder: Path) -> "FeatureSpace":
        """Read what :meth:`save` wrote; features stay on the disk until they are used.

        Raises:
            RunFolderError: The folder holds no feature space, or one of another format.
        """
        try:
            facts = read_json(folder / FACTS_FILE)
            with safe_open(folder / TENSORS_FILE, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            if facts["format"] != FORMAT_VERSION:
                raise ValueError(f"format {facts['format']}, not {FORMAT_VERSION}")
            return cls._assembled(facts, tensors)
        except Exception as error:  # safetensors raises a type of its own
            raise RunFolderError(
                f"The features in {folder} cannot be read: {error}. Expected {FACTS_FILE} and "
                f"{TENSORS_FILE} as fdmo writes them. Remove the folder and start again."
            ) from error

    @classmethod
    def _assembled(
        cls, facts: dict[str, list[str]], tensors: Mapping[str, Tensor]
    ) -> "FeatureSpace":
        weight = tensors["classifier.weight"]
        classifier = LinearClassifier(weight.shape[1], weight.shape[0])
        classifier.load_state_dict(_below("classifier.", tensors))
        held = _below("out_of_fold.", tensors)
        if held:
            held["labels"] = tensors["train.labels"]
        return cls(
            class_names=tuple(facts["class_names"]),
            class_counts=tensors["class_counts"],
            stream_dims=tuple(map(int, facts["stream_dims"])),
            classifier=classifier,
            train=FeatureBatch(**_below("train.", tensors)),
            splits={
                name: LabelledFeatures(**_below(f"{name}.", tensors)) for name in ("val", "test")
            },
            out_of_fold=HeldOut(**held) if held else None,
        )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
