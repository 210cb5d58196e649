"""Whether a file answers as the network does, and what is said if not."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image, ImageDraw

from fdmo_core.errors import ExportError
from fdmo_core.preprocessing import prepare
from fdmo_core.run_folder import TrainedRun
from fdmo_core.samples import Sample, Splits
from fdmo_export.comparison import TOLERANCE, Comparison
from fdmo_export.graph import DeployedClassifier
from fdmo_export.letterbox import letterbox
from fdmo_export.parity import (
    COMPARED_IMAGES,
    IMAGE_TOLERANCE,
    ImageParity,
    Parity,
    compare,
    require_agreement,
)
from fdmo_export.reference import box_of, place_of
from fdmo_export.runtime import OnnxClassifier
from fdmo_export.validation import Scored, score
from fdmo_export.write import Export

Edit = Callable[[Callable[[onnx.ModelProto], None]], Path]

GOOD = Comparison(1, 0, {"probabilities": TOLERANCE, "logits": TOLERANCE})
IMAGES = ImageParity(20, 1, IMAGE_TOLERANCE, 0.001, 0.01, 2)
NAN = float("nan")


def scale_weights(factor: float) -> Callable[[onnx.ModelProto], None]:
    """Return an edit that multiplies every convolution's weights."""

    def edit(model: onnx.ModelProto) -> None:
        for one in model.graph.initializer:
            values = numpy_helper.to_array(one)
            if values.dtype == np.float32 and values.ndim == 4:
                one.CopyFrom(numpy_helper.from_array(values * np.float32(factor), one.name))

    return edit


@pytest.fixture(scope="module")
def scored(trained: TrainedRun, tiny_splits: Splits) -> Scored:
    return score(trained, tiny_splits.val, 1000)


@pytest.fixture(scope="module")
def samples(tiny_splits: Splits) -> list[Sample]:
    return [tiny_splits.val[row] for row in range(21)]


def test_an_untouched_file_agrees_at_every_batch_size_and_on_whole_images(
    onnx_file: Path, deployed: DeployedClassifier, samples: list[Sample], scored: Scored
) -> None:
    found = compare(deployed, onnx_file, samples, scored, split="val")

    assert [one.batch_size for one in found.network] == [1, 3, 17]
    assert all(one.agrees for one in found.network)
    assert all(tuple(one.differences) == deployed.output_names for one in found.network)
    assert found.images is not None
    assert found.images.agrees
    assert found.images.images == len(scored.rows) == 24
    require_agreement(found, exact=True)


def test_few_samples_are_repeated(
    onnx_file: Path, deployed: DeployedClassifier, samples: list[Sample], scored: Scored
) -> None:
    found = compare(deployed, onnx_file, samples[:2], scored, split="val")

    assert [one.batch_size for one in found.network] == [1, 3, 17]


def test_figures_of_whole_images_are_those_of_a_loop(
    edited: Edit,
    deployed: DeployedClassifier,
    trained: TrainedRun,
    samples: list[Sample],
    scored: Scored,
) -> None:
    path = edited(scale_weights(-1.5))

    found = compare(deployed, path, samples, scored, split="val").images

    classifier = OnnxClassifier(path)
    flips, largest, pixels = 0, [], []
    for sample in (scored.split[int(row)] for row in scored.rows):
        square = prepare(sample, 24).image
        with torch.no_grad():
            logits = trained.model(trained.model.prefix(square[None].float() / 255)).logits[0]
        expected = logits.softmax(dim=0).tolist()
        box = np.array([box_of(sample)], dtype=np.float32)
        probabilities = classifier.run(sample.image[None], boxes=box)["probabilities"][0].tolist()
        flips += expected.index(max(expected)) != probabilities.index(max(probabilities))
        largest.append(max(abs(a - b) for a, b in zip(expected, probabilities, strict=True)))
        in_graph = letterbox(torch.from_numpy(sample.image[None]), place_of(sample, 24), 24)[0]
        pixels.append((in_graph - square.float()).abs())
    assert found is not None
    assert found.label_flips == flips > 0
    assert found.largest_difference == pytest.approx(max(largest), rel=1e-4)
    assert found.mean_difference == pytest.approx(sum(largest) / len(largest), rel=1e-4)
    apart = torch.stack(pixels)
    assert found.other_pixels == pytest.approx(float((apart > 0).float().mean()))
    assert found.largest_pixel_difference == apart.max() <= 2
    assert not found.agrees


@dataclass(frozen=True)
class Photographs:
    """A split of JPEG files, shapes on a blurred ground, of sizes as they come."""

    sizes: tuple[tuple[int, int], ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.arange(len(self.sizes)) % 12

    def __getitem__(self, index: int) -> Sample:
        width, height = self.sizes[index]
        rng = np.random.default_rng(index)
        ground = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        picture = Image.fromarray(ground).resize((width, height), Image.Resampling.BICUBIC)
        corners = [0.2 * width, 0.3 * height, 0.7 * width, 0.9 * height]
        ImageDraw.Draw(picture).ellipse(corners, fill=(200, 30, index))
        file = BytesIO()
        picture.save(file, "JPEG")
        return Sample(np.array(Image.open(file)), index % 12)

    def source(self, index: int) -> str:
        return f"{index}.jpg"


def test_files_of_any_size_are_answered_as_in_training(
    onnx_file: Path, trained: TrainedRun, tiny_splits: Splits, samples: list[Sample]
) -> None:
    sides = (640, 480, 333, 90, 41, 24, 7)
    split = Photographs(tuple((width, height) for width in sides for height in sides))
    own = OnnxClassifier(onnx_file).metadata["prior"]["source"]
    deployed = DeployedClassifier(
        trained.model, image_size=24, num_landmarks=8, source_prior=torch.tensor(own)
    ).eval()

    found = compare(deployed, onnx_file, samples, score(trained, split, 200), split="val").images

    assert found is not None
    assert found.images == 49
    assert found.largest_difference < IMAGE_TOLERANCE / 2
    assert found.label_flips == 0
    assert found.other_pixels < 0.05


def test_at_most_200_images_are_given_to_the_file(
    onnx_file: Path, deployed: DeployedClassifier, samples: list[Sample], scored: Scored
) -> None:
    repeats = 20
    many = Scored(
        scored.split,
        np.tile(scored.rows, repeats),
        scored.logits.repeat(repeats, 1),
        scored.labels.repeat(repeats),
    )

    found = compare(deployed, onnx_file, samples, many, split="val").images

    assert found is not None
    assert found.images == COMPARED_IMAGES == 200


def test_a_file_with_other_weights_fails_with_its_figures(
    edited: Edit, deployed: DeployedClassifier, samples: list[Sample], scored: Scored
) -> None:
    found = compare(deployed, edited(scale_weights(-1.5)), samples, scored, split="val")

    with pytest.raises(ExportError) as caught:
        require_agreement(found, exact=True)

    message = str(caught.value)
    for one in found.network:
        assert f"batch of {one.batch_size}: {one.label_flips} class(es) flip; largest" in message
        assert all(f"{name} {value:.1e}" in message for name, value in one.differences.items())
    assert "24 whole images: " in message


def test_only_what_disagrees_is_listed() -> None:
    bad = Comparison(3, 1, {"probabilities": 0.0, "logits": 0.25})
    images = replace(IMAGES, largest_difference=0.5)

    with pytest.raises(ExportError) as caught:
        require_agreement(Parity("val", [GOOD, bad], images), exact=True)

    assert str(caught.value) == (
        "The exported file disagrees with the trained network:\n"
        "  batch of 3: 1 class(es) flip; largest differences probabilities 0.0e+00, logits "
        "2.5e-01\n"
        "  20 whole images: 1 class(es) flip; largest difference of a probability 5.0e-01\n"
        "Expected no flip and differences of at most 1e-04, and for whole images, where "
        "preprocessing rounds, 0.02 in a probability. Nothing was written; report this with the "
        "run's environment.json."
    )


def test_a_lower_precision_has_a_gate_of_its_own() -> None:
    bad = Comparison(3, 1, {"probabilities": 1.0})

    require_agreement(Parity("val", [bad], None), exact=False)


@pytest.mark.parametrize(
    ("difference", "agrees"),
    [(IMAGE_TOLERANCE, True), (1.01 * IMAGE_TOLERANCE, False), (NAN, False)],
)
def test_whole_images_agree_within_their_tolerance(difference: float, agrees: bool) -> None:
    assert replace(IMAGES, largest_difference=difference).agrees is agrees


def test_what_was_compared_is_plain_data(exported: Export) -> None:
    found = exported.parity.as_dict()

    assert found["split"] == "val"
    assert found["network"] == [one.as_dict() for one in exported.parity.network]
    assert found["images"]["agrees"] is True
    assert Parity("val", [GOOD], None).as_dict()["images"] is None
