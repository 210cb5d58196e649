"""Does a file still answer as it did when it was written, on every execution provider here?

No torch: the expected answers are in the file. They are those of the trained network, run by torch
on images prepared as in training, so that they also show whether a file was ever right.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from fdmo_core.errors import ExportError
from fdmo_export.contract import OUTPUT_LANDMARKS, OUTPUT_PROBABILITIES
from fdmo_export.golden import GoldenExample
from fdmo_export.metadata import read_metadata
from fdmo_export.opening import describe_file
from fdmo_export.runtime import OnnxClassifier

PROVIDERS = ("cpu", "cuda", "tensorrt")
TOLERANCES = {
    "fp32": 0.02,  # pixels that the letterbox rounds to the other side; TF32 on a GPU adds 0.001
    "fp16": 0.03,  # numbers of 11 bits besides
    "int8": 0.25,  # weights and sums of 8 bits: far between two classes that are nearly as likely
}
"""By precision: how far a probability may be from the trained network's."""

MOVED = 0.06  # of an image's longer side; one and a half cells of a heatmap
MOST_MOVED = 0.25  # share of the landmarks; where two cells are as good, rounding decides


@dataclass(frozen=True)
class Answer:
    """One golden example.

    Attributes:
        expected: Name of the class that the trained network finds.
        found: Name of the class that the file finds here.
        difference: The largest in a probability.
        moved_landmarks: Landmarks that lie elsewhere by more than 6 % of the longer side.
    """

    expected: str
    found: str
    difference: float
    moved_landmarks: int


@dataclass(frozen=True)
class ProviderAnswers:
    """All golden examples on one execution provider.

    Attributes:
        provider: cpu, cuda or tensorrt.
        answers: One for each example.
        num_landmarks: In all examples.
        tolerance: How far a probability may be off.
    """

    provider: str
    answers: list[Answer]
    num_landmarks: int
    tolerance: float

    @property
    def outside(self) -> list[int]:
        """Examples, counted from 1, with a probability that is too far off, or not a number."""
        return [
            number
            for number, one in enumerate(self.answers, 1)
            if not one.difference <= self.tolerance
        ]

    @property
    def moved_landmarks(self) -> int:
        """Landmarks of all examples that lie elsewhere."""
        return sum(one.moved_landmarks for one in self.answers)

    @property
    def agrees(self) -> bool:
        """Whether no probability is too far off, and few landmarks lie elsewhere."""
        return not self.outside and self.moved_landmarks <= MOST_MOVED * self.num_landmarks

    def as_dict(self) -> dict[str, Any]:
        """Return the answers as plain data."""
        return asdict(self) | {"agrees": self.agrees}


@dataclass(frozen=True)
class Verification:
    """What was found of a file whose digest is right.

    Attributes:
        path: The file.
        precision: fp32, fp16 or int8.
        providers: Those that ran.
        unusable: Why each other one did not.
    """

    path: Path
    precision: str
    providers: list[ProviderAnswers]
    unusable: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return what was found as plain data."""
        return {
            "file": str(self.path),
            "precision": self.precision,
            "providers": [one.as_dict() for one in self.providers],
            "unusable": self.unusable,
        }


def verify_file(path: Path, providers: Sequence[str] = ()) -> Verification:
    """Return what the golden examples of a file give on execution providers.

    Args:
        path: The file.
        providers: Which ones; default: each that can be used here.

    Raises:
        ExportError: The file is damaged or not of this version, is no valid ONNX, or a provider
            that was asked for cannot be used.
    """
    description = describe_file(path)
    require_valid(path)
    examples = description.golden_examples()
    precision = read_metadata(description.metadata, str(path)).precision
    if precision not in TOLERANCES:
        raise ExportError(
            f"{path} is of precision {precision!r}. Expected one of {', '.join(TOLERANCES)}. "
            f"Export the run again."
        )
    ran, unusable = [], {}
    for one in providers or PROVIDERS:
        try:
            classifier = OnnxClassifier(path, provider=one)
        except ExportError as error:
            if providers or one == "cpu":
                raise
            unusable[one] = str(error)
            continue
        answers = [_answer(classifier, example) for example in examples]
        landmarks = sum(len(example.outputs.get(OUTPUT_LANDMARKS, ())) for example in examples)
        ran.append(ProviderAnswers(one, answers, landmarks, TOLERANCES[precision]))
    return Verification(path, precision, ran, unusable)


def _answer(classifier: OnnxClassifier, example: GoldenExample) -> Answer:
    outputs = classifier.run(example.input[np.newaxis])
    found = outputs[OUTPUT_PROBABILITIES][0]
    expected = example.outputs[OUTPUT_PROBABILITIES]
    moved = 0
    if OUTPUT_LANDMARKS in example.outputs:
        apart = outputs[OUTPUT_LANDMARKS][0] - example.outputs[OUTPUT_LANDMARKS]
        moved = int((~(np.abs(apart).max(axis=1) <= MOVED * max(example.input.shape))).sum())
    return Answer(
        expected=classifier.class_names[int(expected.argmax())],
        found=classifier.class_names[int(found.argmax())],
        difference=float(np.abs(found - expected).max()),
        moved_landmarks=moved,
    )


def require_valid(path: Path) -> None:
    """Raise an ExportError if a file is no valid ONNX, by onnx's full check."""
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:  # of the checker and of shape inference, without a common base
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"{path} is no valid ONNX: {reason} Expected a file that onnx.checker passes. Export "
            f"the run again, and report it if that does not help."
        ) from error


def require_answers(verification: Verification) -> None:
    """Raise an ExportError if a provider does not answer as the file says it must."""
    failures = [one for one in verification.providers if not one.agrees]
    if failures:
        first = failures[0]
        outside = ", ".join(str(number) for number in first.outside) or "none"
        names = ", ".join(one.provider for one in failures)
        raise ExportError(
            f"{verification.path} answers otherwise on {names} than the trained network: on "
            f"{first.provider} the examples with a probability too far off are {outside}, and "
            f"{first.moved_landmarks} of {first.num_landmarks} landmarks lie elsewhere. Expected "
            f"at most {first.tolerance:g} in a probability at {verification.precision}, and at "
            f"most {MOST_MOVED:.0%} of the landmarks. Use another "
            f"provider, update onnxruntime and drivers, or export the run again."
        )
