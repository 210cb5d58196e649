"""Classifies picture files: python classify.py MODEL PICTURE..."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from classifier import Classifier
from numpy.typing import NDArray
from pictures import read_picture


def main() -> int:
    """Return 0, or 1 for a failed self-test, 2 for a wrong call, 3 for unreadable pictures."""
    options = parse()
    try:
        classifier = Classifier(options.model)
        if options.self_test:
            return self_test(classifier)
        return classify_files(classifier, options)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


def parse() -> argparse.Namespace:
    """Return what the command was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="file that 'fdmo export onnx' wrote")
    parser.add_argument("pictures", type=Path, nargs="*", help=".ppm or .npy files")
    prior = parser.add_mutually_exclusive_group()
    prior.add_argument("--balanced", action="store_true", help="count all classes alike")
    prior.add_argument("--prior", type=Path, help='as frequent as this JSON says: {"class": 0.2}')
    parser.add_argument("--tau", type=float, default=1.0, help="how far to follow either")
    parser.add_argument("--box", type=box, help="left,top,right,bottom: that part, in pixels")
    parser.add_argument("--batch", type=int, default=8, help="pictures at a time")
    parser.add_argument("--json", action="store_true", help="one JSON document a line")
    parser.add_argument("--self-test", action="store_true", help="run the file's own examples")
    options = parser.parse_args()
    if bool(options.pictures) == options.self_test:
        parser.error("give pictures or --self-test")
    if options.batch < 1 or not np.isfinite(options.tau):
        parser.error("--batch is at least 1, and --tau is finite")
    return options


def box(text: str) -> list[float]:
    """Return the four numbers of an option."""
    left, top, right, bottom = map(float, text.split(","))
    return [left, top, right, bottom]


def self_test(classifier: Classifier) -> int:
    """Print how the file's examples come out."""
    result = classifier.self_test()
    print(
        f"{'passed' if result.passed else 'FAILED'}: {result.images} examples, {result.flips} with "
        f"another class, probabilities differ by at most {result.difference:.1e} "
        f"(allowed {result.allowed})"
    )
    return 0 if result.passed else 1


def target_prior(class_names: list[str], options: argparse.Namespace) -> NDArray[np.float32] | None:
    """Return the prior that the options ask for."""
    count = len(class_names)
    if options.balanced:
        return np.full(count, 1 / count, dtype=np.float32)
    if options.prior is None:
        return None
    shares = json.loads(options.prior.read_text(encoding="utf-8"))
    numbers = np.array([shares.get(name, np.nan) for name in class_names], dtype=np.float32)
    if len(shares) != count or not (numbers >= 0).all() or abs(numbers.sum() - 1) > 1e-3:
        raise ValueError(
            f"{options.prior} is no prior of this file. Expected numbers from 0 on with sum 1, one "
            f"for each of {', '.join(class_names)}. Correct it."
        )
    return numbers


def classify_files(classifier: Classifier, options: argparse.Namespace) -> int:
    """Print a line for each picture that can be read."""
    prior = target_prior(classifier.class_names, options)
    show = as_json if options.json else as_line
    total = 0
    for start in range(0, len(options.pictures), options.batch):
        read = list(read_pictures(options.pictures[start : start + options.batch]))
        total += len(read)
        if read:
            boxes = None if options.box is None else [options.box] * len(read)
            answers = classifier.classify(
                [pixels for _, pixels in read], boxes=boxes, target_prior=prior, tau=options.tau
            )
            for row, (path, _) in enumerate(read):
                print(show(classifier, path, {name: value[row] for name, value in answers.items()}))
    return 0 if total == len(options.pictures) else 3


def read_pictures(paths: Sequence[Path]) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """Yield path and pixels of those that can be read; name the others on standard error."""
    for path in paths:
        try:
            yield path, read_picture(path)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)


def as_line(classifier: Classifier, path: Path, answer: dict[str, NDArray[np.float32]]) -> str:
    """Return file, class and probability."""
    probabilities = answer["probabilities"]
    name = classifier.class_names[probabilities.argmax()]
    return f"{path}\t{name}\t{probabilities.max():.4f}"


def as_json(classifier: Classifier, path: Path, answer: dict[str, NDArray[np.float32]]) -> str:
    """Return file, class, all probabilities and the landmarks."""
    probabilities = answer["probabilities"]
    landmarks = [
        {"name": name, "x": float(x), "y": float(y), "visibility": float(visibility)}
        for name, (x, y), visibility in zip(
            classifier.about["landmark_names"],
            answer.get("landmarks", ()),
            answer.get("visibility", ()),
            strict=True,
        )
    ]
    document = {
        "file": str(path),
        "class": classifier.class_names[probabilities.argmax()],
        "probabilities": dict(zip(classifier.class_names, probabilities.tolist(), strict=True)),
        "landmarks": landmarks,
    }
    return json.dumps(document)


if __name__ == "__main__":
    sys.exit(main())
