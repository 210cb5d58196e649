"""Whether a file answers as the network does, and what is said if not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import Tensor

from fdmo_core.errors import ExportError
from fdmo_export.contract import OUTPUTS
from fdmo_export.graph import DeployedClassifier
from fdmo_export.runtime import OnnxClassifier
from fdmo_export.verify import TOLERANCE, Comparison, compare, require_agreement

Edit = Callable[[Callable[[onnx.ModelProto], None]], Path]

GOOD = Comparison(1, 0, dict.fromkeys(OUTPUTS, TOLERANCE))
NAN = float("nan")


def scale_weights(factor: float) -> Callable[[onnx.ModelProto], None]:
    """Return an edit that multiplies every convolution's and matrix's weights."""

    def edit(model: onnx.ModelProto) -> None:
        for one in model.graph.initializer:
            values = numpy_helper.to_array(one)
            if values.dtype == np.float32 and values.ndim > 1:
                one.CopyFrom(numpy_helper.from_array(values * np.float32(factor), one.name))

    return edit


def test_an_untouched_file_agrees_at_every_batch_size(
    onnx_file: Path, deployed: DeployedClassifier, images: Tensor
) -> None:
    comparisons = compare(deployed, onnx_file, images)

    assert [one.batch_size for one in comparisons] == [1, 3, 17]
    assert [one.label_flips for one in comparisons] == [0, 0, 0]
    assert all(one.agrees and tuple(one.differences) == OUTPUTS for one in comparisons)
    require_agreement(comparisons)


def test_differences_are_the_largest_ones_relative_to_values_above_1(
    edited: Edit, deployed: DeployedClassifier, images: Tensor
) -> None:
    path = edited(scale_weights(1.5))

    first, *_ = compare(deployed, path, images)

    found = OnnxClassifier(path).run(images[:1].numpy())
    for name, output in zip(OUTPUTS, deployed(images[:1]), strict=True):
        largest = max(1.0, *(abs(value) for value in output[0].tolist()))
        apart = max(
            abs(a - b) for a, b in zip(found[name][0].tolist(), output[0].tolist(), strict=True)
        )
        assert first.differences[name] == pytest.approx(apart / largest, rel=1e-4)


def test_flips_are_the_images_whose_best_class_differs(
    edited: Edit, deployed: DeployedClassifier, images: Tensor
) -> None:
    path = edited(scale_weights(-1.5))

    comparisons = compare(deployed, path, images)

    found = OnnxClassifier(path).run(images.numpy())["probabilities"].argmax(axis=1)
    expected = deployed(images)[0].argmax(dim=1).numpy()
    assert [one.label_flips for one in comparisons] == [
        int((found != expected)[rows].sum()) for rows in (slice(1), slice(1, 4), slice(4, 21))
    ]
    assert sum(one.label_flips for one in comparisons) > 0


def test_few_images_are_repeated(
    onnx_file: Path, deployed: DeployedClassifier, images: Tensor
) -> None:
    assert [one.batch_size for one in compare(deployed, onnx_file, images[:2])] == [1, 3, 17]


def test_a_tampered_file_fails_with_its_figures(
    edited: Edit, deployed: DeployedClassifier, images: Tensor
) -> None:
    comparisons = compare(deployed, edited(scale_weights(-1.5)), images)

    with pytest.raises(ExportError) as caught:
        require_agreement(comparisons)

    message = str(caught.value)
    for one in comparisons:
        assert f"batch of {one.batch_size}: {one.label_flips} class(es) flip; largest" in message
        for name, value in one.differences.items():
            assert f"{name} {value:.1e}" in message


def test_only_the_batches_that_disagree_are_listed() -> None:
    bad = Comparison(3, 1, {"probabilities": 0.0, "logits": 0.25, "features": 0.0})

    with pytest.raises(ExportError) as caught:
        require_agreement([GOOD, bad])

    assert str(caught.value) == (
        "The exported file disagrees with the trained network:\n"
        "  batch of 3: 1 class(es) flip; largest differences probabilities 0.0e+00, logits "
        "2.5e-01, features 0.0e+00\n"
        "Expected no flip and differences of at most 1e-04. Nothing was written; report this with "
        "the run's environment.json."
    )


@pytest.mark.parametrize(
    ("flips", "logits", "features", "agrees"),
    [
        (0, TOLERANCE, TOLERANCE, True),
        (1, 0.0, 0.0, False),
        (0, 2 * TOLERANCE, 0.0, False),
        (0, 0.0, 2 * TOLERANCE, False),
        (0, 0.0, NAN, False),
        (0, NAN, 0.0, False),
    ],
)
def test_agreement_needs_no_flip_and_every_output_within_the_tolerance(
    flips: int, logits: float, features: float, agrees: bool
) -> None:
    differences = {"probabilities": 0.0, "logits": logits, "features": features}

    assert Comparison(1, flips, differences).agrees is agrees


def test_a_comparison_as_plain_data_says_whether_it_agrees() -> None:
    assert GOOD.as_dict() == {
        "batch_size": 1,
        "label_flips": 0,
        "differences": dict.fromkeys(OUTPUTS, TOLERANCE),
        "agrees": True,
    }
