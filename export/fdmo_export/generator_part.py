"""Write a run's trained generator and its dictionary, for trainers other than fdmo."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fdmo_core.errors import ExportError
from fdmo_core.files import make_folder, replacing, write_json
from fdmo_core.imbalance import generation_probabilities
from fdmo_core.interfaces import FeatureGenerator, Rebalancer
from fdmo_core.journal import Journal
from fdmo_core.registry import Registry
from fdmo_core.trained_phases import TrainedPhase1, TrainedPhase2, open_phase1, open_phase2
from fdmo_export.contract import GENERATOR_KEY, MAX_FILE_BYTES
from fdmo_export.describe import add_entry
from fdmo_export.dictionary_file import write_dictionary
from fdmo_export.generator_graph import DeployedGenerator, takes_any_width, trace_generator
from fdmo_export.generator_parity import (
    BATCH_SIZES,
    GeneratorComparison,
    compare_generators,
    make_example,
    require_same_features,
)
from fdmo_export.seal import sealed_bytes

GENERATOR_FORMAT = 1
GENERATOR_FILE, DICTIONARY_FILE = "generator.onnx", "dictionary.npz"
PARITY_FILE = "generator-parity.json"


@dataclass(frozen=True)
class GeneratorExport:
    """What was written, and what it was found to be.

    Attributes:
        generator: The ONNX file.
        dictionary: The dictionary's file.
        parity: How the file compares with the trained generator.
    """

    generator: Path
    dictionary: Path
    parity: Sequence[GeneratorComparison]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, as ``generator-parity.json`` holds it."""
        return {
            "generator": self.generator.name,
            "dictionary": self.dictionary.name,
            "parity": [one.as_dict() for one in self.parity],
        }


def export_generator(
    run: Path,
    registry: Registry,
    folder: Path,
    *,
    journal: Journal,
    lender: Path | None = None,
    overwrite: bool = False,
) -> GeneratorExport:
    """Write ``generator.onnx``, ``dictionary.npz`` and what was compared.

    Args:
        run: Folder of a finished run.
        registry: Where components are found.
        folder: Where to write; it is made.
        journal: Shown the progress.
        lender: Folder of the run that phase 1 is from, if it is another's.
        overwrite: Whether files of these names may be replaced.

    Raises:
        ExportError: The run has no generator, or one that cannot be exported; a file is there
            already; or the file's answers are not those of the generator.
        RunFolderError: The run is not finished, or something cannot be written.
        ConfigError: The data is not what the run was trained on, or a plugin is missing.
    """
    path, dictionary_path = folder / GENERATOR_FILE, folder / DICTIONARY_FILE
    if not overwrite:
        _require_absent(path, dictionary_path)
    phase1 = open_phase1(run, registry, torch.device("cpu"), journal, lender=lender)
    phase2 = open_phase2(phase1, journal)
    parity = write_generator(path, phase1, phase2)
    write_dictionary(dictionary_path, phase2.dictionary, phase1.splits.class_names)
    report = GeneratorExport(path, dictionary_path, parity)
    write_json(folder / PARITY_FILE, report.as_dict())
    return report


def _require_absent(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise ExportError(
                f"{path} is there already. Expected a folder without it. Choose another one with "
                f"--out, or replace it with --overwrite."
            )


def write_generator(
    path: Path, phase1: TrainedPhase1, phase2: TrainedPhase2
) -> list[GeneratorComparison]:
    """Write the ONNX file, unless it disagrees with the trained generator.

    Args:
        path: The file; its folder is made.
        phase1: Of the run, on the CPU.
        phase2: Of the run.

    Returns:
        What was compared.

    Raises:
        ExportError: There is no generator, it cannot be exported, or the file disagrees.
        RunFolderError: The file cannot be written.
    """
    generator = generator_of(phase2.rebalancer)
    deployed = DeployedGenerator(generator).eval()
    require_size(deployed)
    chances = _chances(phase1, phase2)
    sizes = [(size, generator.samples_per_class) for size in BATCH_SIZES]
    noise, labels, drawn, _ = make_example(
        generator, phase2.dictionary, chances, batch_size=2, samples=sizes[0][1]
    ).inputs
    model = trace_generator(deployed, noise, labels, drawn)
    any_width = takes_any_width(model)
    if any_width:
        sizes.append((BATCH_SIZES[-1], generator.samples_per_class + 1))
    described = _describe(phase1, phase2, chances) | {"any_number_of_samples": any_width}
    add_entry(model, GENERATOR_KEY, described)
    examples = [
        make_example(generator, phase2.dictionary, chances, batch_size=size, samples=samples)
        for size, samples in sizes
    ]
    parity = compare_generators(model, examples)
    require_same_features(parity)
    make_folder(path.parent)
    with replacing(path) as temporary:
        temporary.write_bytes(sealed_bytes(model))
    return parity


def generator_of(rebalancer: Rebalancer) -> FeatureGenerator:
    """Return a rebalancer's generator: one of its modules, for it is saved with it.

    Raises:
        ExportError: It has none, or several.
    """
    found = [one for one in rebalancer.modules() if isinstance(one, FeatureGenerator)]
    if len(found) != 1:
        raise ExportError(
            f"Rebalancer '{rebalancer.config.name}' has {len(found)} generators. Expected one that "
            f"trained on artificial features, such as 'adversarial' with rebalancer.artificial = "
            f"true. Train phase 2 with it from the same phase 1: fdmo train --phase1-from RUN."
        )
    return found[0]


def require_size(deployed: DeployedGenerator) -> None:
    """Raise an ExportError if the weights do not fit into one file."""
    tensors = deployed.state_dict().values()
    needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if needed >= MAX_FILE_BYTES:
        raise ExportError(
            f"The generator has {needed / 2**30:.2f} GiB of weights. Expected less than 2 GiB, the "
            f"most that one ONNX file can hold. Train with a smaller "
            f"rebalancer.samples_per_class."
        )


def _chances(phase1: TrainedPhase1, phase2: TrainedPhase2) -> Tensor:
    """Return how likely each class is the next one that a feature is made of.

    Source: Algorithm 1, line 11, of the classes that the dictionary has rows of.

    Returns:
        Shape ``(C,)``, float32; they sum to 1.
    """
    lacking = generation_probabilities(torch.from_numpy(phase1.splits.counts("train")))
    lacking = lacking * (phase2.dictionary.class_sizes > 0)
    return lacking / lacking.sum()


def _describe(phase1: TrainedPhase1, phase2: TrainedPhase2, chances: Tensor) -> dict[str, Any]:
    """Return what the file says of itself, as plain data."""
    generator = generator_of(phase2.rebalancer)
    config = phase1.run.as_dict()
    text = json.dumps(config, sort_keys=True, ensure_ascii=False)
    return {
        "format": GENERATOR_FORMAT,
        "fdmo": version("fdmo"),
        "class_names": list(phase1.splits.class_names),
        "class_counts": phase1.splits.counts("train").tolist(),
        "dictionary_rows": phase2.dictionary.class_sizes.tolist(),
        "chances": chances.tolist(),
        "stream_dims": list(generator.stream_dims),
        "noise_dim": generator.noise_dim,
        "samples_per_class": generator.samples_per_class,
        "data_digest": phase1.splits.digest,
        "config_digest": hashlib.sha256(text.encode()).hexdigest(),
        "config": config["generator"],
    }
