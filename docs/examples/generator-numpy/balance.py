"""Train a classifier on features that an exported generator balances: numpy and onnxruntime only.

python balance.py FOLDER FEATURES.safetensors

FOLDER holds generator.onnx and dictionary.npz, as ``fdmo export onnx RUN --part generator`` writes
them. FEATURES.safetensors is what ``fdmo features extract RUN`` writes; its test rows are the
judge.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

BATCH = 64  # artificial features at a time
STEPS = 300
RATE = 0.5
TEST = 2  # how the features' file marks a test row


class Generator:
    """Makes artificial features of a class from real ones.

    Args:
        path: generator.onnx.
        seed: Decides noise and draws.
    """

    def __init__(self, path: Path, seed: int) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # not its warning that the mask has a default
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        text = self._session.get_modelmeta().custom_metadata_map["fdmo_generator"]
        self.metadata: dict[str, Any] = json.loads(text)
        self._rng = np.random.default_rng(seed)

    def make(self, label: int, real: Floats, count: int) -> Floats:
        """Return artificial features of a class, shape (count, F).

        Args:
            label: The class.
            real: All real features of the class, shape (n, F), n at least 1.
            count: How many.
        """
        parts = [np.empty((0, real.shape[1]), dtype=np.float32)]
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            drawn, mask = self._draw(real)
            shape = (size, self.metadata["noise_dim"])
            feed = {
                "noise": self._rng.standard_normal(shape, dtype=np.float32),
                "labels": np.full(size, label),
                "drawn": np.broadcast_to(drawn, (size, *drawn.shape)),
                "mask": mask[np.newaxis],
            }
            parts += self._session.run(["features"], feed)
        return np.concatenate(parts)

    def _draw(self, real: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return S distinct rows, or all there are and padding, with what is no padding."""
        width = self.metadata["samples_per_class"]
        chosen = self._rng.permutation(len(real))[:width]
        drawn = np.zeros((width, real.shape[1]), dtype=np.float32)
        drawn[: len(chosen)] = real[chosen]
        return drawn, np.arange(width) < len(chosen)


def copies(real: Floats, count: int, seed: int) -> Floats:
    """Return rows drawn again, shape (count, F): what artificial features must beat."""
    return real[np.random.default_rng(seed).integers(0, len(real), count)]


def balanced(features: Floats, labels: Labels, more: Any) -> tuple[Floats, Labels]:
    """Return the features with so many more of each class that all have as many as the largest.

    Args:
        features: Shape (N, F).
        labels: Shape (N,).
        more: Given a class, its rows and a number, returns so many features.
    """
    sizes = np.bincount(labels)
    present = [int(label) for label in np.flatnonzero(sizes)]
    made = [more(label, features[labels == label], sizes.max() - sizes[label]) for label in present]
    added = np.repeat(present, [len(one) for one in made])
    return np.concatenate([features, *made]), np.concatenate([labels, added])


def fitted(features: Floats, labels: Labels, num_classes: int) -> tuple[Floats, Floats]:
    """Return weight (F + 1, C) and scale (2, F) of a softmax regression, by gradient descent."""
    scale = np.stack([features.mean(axis=0), features.std(axis=0) + 1e-6])
    inputs = _with_ones((features - scale[0]) / scale[1])
    targets = np.eye(num_classes, dtype=np.float32)[labels]
    weight = np.zeros((inputs.shape[1], num_classes), dtype=np.float32)
    for _ in range(STEPS):
        slope = inputs.T @ (_softmax(inputs @ weight) - targets) / len(inputs)
        weight -= RATE * slope
    return weight, scale


def recalls(model: tuple[Floats, Floats], features: Floats, labels: Labels) -> Floats:
    """Return the share of each present class's rows that a model finds."""
    weight, scale = model
    answers = (_with_ones((features - scale[0]) / scale[1]) @ weight).argmax(axis=1)
    found = [(answers[labels == label] == label).mean() for label in np.unique(labels)]
    return np.array(found, dtype=np.float32)


def _with_ones(features: Floats) -> Floats:
    return np.concatenate([features, np.ones((len(features), 1), dtype=np.float32)], axis=1)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file that numpy has a type for."""
    types = {"I64": "<i8", "F32": "<f4", "U8": "|u1"}
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            content[start + one["data_offsets"][0] : start + one["data_offsets"][1]],
            types[one["dtype"]],
        ).reshape(one["shape"])
        for name, one in header.items()
    }


def main(folder: str, file: str) -> None:
    """Print ACSA of three classifiers: on real features, with copies, with artificial ones."""
    generator = Generator(Path(folder) / "generator.onnx", seed=0)
    dictionary = np.load(Path(folder) / "dictionary.npz", allow_pickle=False)
    features, labels = dictionary["features"], dictionary["labels"]
    extracted = read_safetensors(Path(file))
    is_test = extracted["split"] == TEST
    test = extracted["features"][is_test], extracted["labels"][is_test]
    sets = {
        "real": (features, labels),
        "copies": balanced(features, labels, lambda _, real, count: copies(real, count, seed=0)),
        "artificial": balanced(features, labels, generator.make),
    }
    for name, (inputs, targets) in sets.items():
        model = fitted(inputs, targets, len(dictionary["class_names"]))
        acsa = recalls(model, *test).mean()
        print(f"{name:<11} {len(inputs):>6} rows  ACSA {acsa:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
