"""Does an exported generator make what the trained one makes?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import onnx
import torch
from torch import Tensor

from fdmo_core.errors import ExportError
from fdmo_core.interfaces import ArtificialFeatures, FeatureDictionary, FeatureGenerator
from fdmo_core.randomness import rng_for
from fdmo_export.generator_graph import INPUTS, OUTPUT_FEATURES, OUTPUT_WEIGHTS, OUTPUTS
from fdmo_export.sessions import open_session

BATCH_SIZES = (1, 3, 17)  # none is the size that was traced
TOLERANCE = 1e-4  # float32 sums in another order; relative for numbers above 1


class Example(NamedTuple):
    """A batch of real rows, and what the trained generator makes of them.

    Attributes:
        inputs: Of the file, in its order.
        made: By the generator's own forward, from the same noise; its weights may be None.
    """

    inputs: tuple[Tensor, Tensor, Tensor, Tensor]
    made: ArtificialFeatures


@torch.no_grad()
def make_example(
    generator: FeatureGenerator,
    dictionary: FeatureDictionary,
    chances: Tensor,
    *,
    batch_size: int,
    samples: int,
) -> Example:
    """Return a batch whose classes are drawn as in training.

    Args:
        generator: Trained, in evaluation mode, on the CPU.
        dictionary: What it was trained on.
        chances: Of each class to be drawn. Shape ``(C,)``.
        batch_size: B.
        samples: S.
    """
    labels = chances.multinomial(batch_size, replacement=True, generator=rng_for(0, "labels"))
    drawn = dictionary.draw(labels, samples_per_class=samples, rng=rng_for(0, "rows"))
    noise = torch.randn(batch_size, generator.noise_dim, generator=rng_for(0, "noise"))
    inputs = (noise, labels, drawn.features()[drawn.groups], drawn.mask[drawn.groups])
    return Example(inputs, generator(labels, drawn, rng_for(0, "noise")))


@dataclass(frozen=True)
class GeneratorComparison:
    """One batch, made by both.

    Attributes:
        batch_size: B.
        samples: S, drawn features of each sample, padding included.
        differences: Largest difference of each output, relative to its largest value where that
            is above 1. Weights are missing where the trained generator keeps them to itself.
    """

    batch_size: int
    samples: int
    differences: dict[str, float]

    @property
    def agrees(self) -> bool:
        """Whether every output is within the tolerance."""
        return all(value <= TOLERANCE for value in self.differences.values())  # NaN is not

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return asdict(self) | {"agrees": self.agrees}


def compare_generators(
    model: onnx.ModelProto, examples: Sequence[Example]
) -> list[GeneratorComparison]:
    """Return how far what will be the file and the trained generator differ on each batch.

    Args:
        model: Traced.
        examples: From the trained generator.
    """
    session = open_session(model)
    found = []
    for inputs, made in examples:
        feed = {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)}
        answers = dict(zip(OUTPUTS, session.run(list(OUTPUTS), feed), strict=True))
        expected = {OUTPUT_FEATURES: made.features, OUTPUT_WEIGHTS: made.weights}
        differences = {
            name: _difference(value, torch.from_numpy(answers[name]))
            for name, value in expected.items()
            if value is not None
        }
        batch_size, samples, _ = inputs[2].shape
        found.append(GeneratorComparison(batch_size, samples, differences))
    return found


def _difference(expected: Tensor, found: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1.0))


def require_same_features(parity: Sequence[GeneratorComparison]) -> None:
    """Raise an ExportError that lists every batch on which file and generator disagree."""
    failures = [one for one in parity if not one.agrees]
    if failures:
        lines = "\n  ".join(
            f"batch of {one.batch_size} with {one.samples} drawn: "
            + ", ".join(f"{name} {value:.1e}" for name, value in one.differences.items())
            for one in failures
        )
        raise ExportError(
            f"The exported file disagrees with the trained generator:\n  {lines}\nExpected "
            f"differences of at most {TOLERANCE:.0e}. Nothing was written; report this with the "
            f"run's environment.json."
        )
