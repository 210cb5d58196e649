"""The generator's file: what it makes, in any batch, is what the trained generator makes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdmo_core import DrawnFeatures, ExportError, FeatureGenerator
from fdmo_core.classifier import LinearClassifier
from fdmo_core.kinds import KINDS
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.registry import Registry
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_export.generator_graph import (
    INPUTS,
    OUTPUTS,
    DeployedGenerator,
    takes_any_width,
    trace_generator,
)
from fdmo_plugins.oversamplers.drawn_mean import DrawnMean, DrawnMeanConfig

SIZES, SAMPLES, FEATURES = (20, 9, 3, 1), 5, sum(STREAM_DIMS)
(GENERATOR,) = (kind for kind in KINDS if kind.name == "generator")
COMPONENTS = {one.name: one.component for one in Registry(load_plugins()).components(GENERATOR)}
SMALL = {"noise_dim": 4, "hidden": (8, 8), "discriminator_hidden": (8, 8)}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "convexgan": SMALL,
    "attention": {**SMALL, "sketch_dim": 3, "key_dim": 4},
    "gamo": SMALL,
}
EXPORTED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "convexgan": ("convexgan", {}),
    "convexgan-tied": ("convexgan", {"tie_streams": True}),
    "convexgan-per-feature": ("convexgan", {"weights": "per-feature", "chunk_size": 3}),
    "attention": ("attention", {}),
    "mean": ("mean", {}),
}


def built(name: str, **options: Any) -> FeatureGenerator:
    """Return a generator whose weights are not those of a beginning, so that classes differ."""
    component = COMPONENTS[name]
    config = component.config_class.model_validate({**OPTIONS.get(name, {}), **options})
    with seeded(0, "generator"):
        generator: FeatureGenerator = component(
            config, num_classes=len(SIZES), stream_dims=STREAM_DIMS, samples_per_class=SAMPLES
        )
        generator.fit(toy_dictionary(SIZES).store, LinearClassifier(FEATURES, len(SIZES)))
        for parameter in generator.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return generator.eval()


def drawn_for(labels: Tensor, samples: int = SAMPLES) -> DrawnFeatures:
    return toy_dictionary(SIZES).draw(labels, samples_per_class=samples, rng=rng_for(1))


def traced(generator: FeatureGenerator) -> onnx.ModelProto:
    labels = torch.tensor([0, 2])
    sets = drawn_for(labels).features()
    noise = torch.randn(2, generator.noise_dim)
    return trace_generator(DeployedGenerator(generator).eval(), noise, labels, sets)


class Exported(NamedTuple):
    """A generator with its file, open."""

    generator: FeatureGenerator
    model: onnx.ModelProto
    session: Any

    def make(self, **feed: Tensor) -> list[NDArray[np.float32]]:
        given = {name: value.numpy() for name, value in feed.items()}
        answers: list[NDArray[np.float32]] = self.session.run(list(OUTPUTS), given)
        return answers


@pytest.fixture(scope="module", params=EXPORTED)
def exported(request: pytest.FixtureRequest) -> Exported:
    runtime = pytest.importorskip("onnxruntime")
    name, options = EXPORTED[request.param]
    generator = built(name, **options)
    model = traced(generator)
    quiet = runtime.SessionOptions()
    quiet.log_severity_level = 3
    content = model.SerializeToString()
    session = runtime.InferenceSession(content, quiet, providers=["CPUExecutionProvider"])
    return Exported(generator, model, session)


def inputs_of(drawn: DrawnFeatures, labels: Tensor, noise_dim: int) -> dict[str, Tensor]:
    return {
        "noise": torch.randn(len(labels), noise_dim, generator=rng_for(2)),
        "labels": labels,
        "drawn": drawn.features()[drawn.groups],
        "mask": drawn.mask[drawn.groups],
    }


@pytest.mark.parametrize("batch_size", [1, 3, 17])
def test_it_makes_what_the_generator_makes_of_the_same_noise(
    exported: Exported, batch_size: int
) -> None:
    labels = torch.arange(batch_size).flip(0) % len(SIZES)
    drawn = drawn_for(labels)
    with torch.no_grad():
        expected = exported.generator(labels, drawn, rng_for(2))

    features, weights = exported.make(**inputs_of(drawn, labels, exported.generator.noise_dim))

    np.testing.assert_allclose(features, expected.features.numpy(), atol=1e-5)
    if expected.weights is not None:
        np.testing.assert_allclose(weights, expected.weights.numpy(), atol=1e-5)


def test_a_feature_is_the_sum_of_what_was_drawn_under_weights_that_are_convex(
    exported: Exported,
) -> None:
    labels = torch.tensor([2, 0, 3, 1, 2])
    given = inputs_of(drawn_for(labels), labels, exported.generator.noise_dim)

    features, weights = exported.make(**given)

    for sample in range(len(labels)):
        for number in range(FEATURES):
            stream = 0 if number < STREAM_DIMS[0] else 1
            line = number if weights.shape[1] == FEATURES else stream
            expected = 0.0
            for index in range(SAMPLES):
                weight = float(weights[sample, line, index])
                assert weight >= 0 if given["mask"][sample, index] else weight == 0
                expected += weight * float(given["drawn"][sample, index, number])
            assert weights[sample, line].sum() == pytest.approx(1, abs=1e-5)
            assert features[sample, number] == pytest.approx(expected, abs=1e-4)


def test_without_a_mask_everything_that_is_given_was_drawn(exported: Exported) -> None:
    labels = torch.tensor([0, 1, 1])
    given = inputs_of(drawn_for(labels), labels, exported.generator.noise_dim)
    assert given.pop("mask").all()

    without = exported.make(**given)
    one_for_all = exported.make(**given, mask=torch.ones(1, SAMPLES, dtype=torch.bool))

    for found, expected in zip(without, one_for_all, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_stands_in_the_padding_changes_nothing(exported: Exported) -> None:
    labels = torch.tensor([2, 3])
    given = inputs_of(drawn_for(labels), labels, exported.generator.noise_dim)
    other = {**given, "drawn": given["drawn"].where(given["mask"].unsqueeze(2), 1000.0)}
    assert not torch.equal(given["drawn"], other["drawn"])

    for found, expected in zip(exported.make(**other), exported.make(**given), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_axes_have_names_and_a_width_that_the_generator_fixes_has_its_number(
    exported: Exported,
) -> None:
    width = "samples" if takes_any_width(exported.model) else SAMPLES
    noise_dim = exported.generator.noise_dim
    (_, lines, _) = exported.make(
        **inputs_of(drawn_for(torch.tensor([0])), torch.tensor([0]), noise_dim)
    )[1].shape

    shapes = {
        one.name: [dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in (*exported.model.graph.input, *exported.model.graph.output)
    }

    assert shapes == {
        "noise": ["batch", noise_dim],
        "labels": ["batch"],
        "drawn": ["batch", width, FEATURES],
        "mask": ["masks", "mask_width"],
        "features": ["batch", FEATURES],
        "weights": ["batch", lines, width],
    }
    assert tuple(shapes) == (*INPUTS, *OUTPUTS)
    assert takes_any_width(exported.model) == (exported.generator.config.name != "convexgan")


def test_sets_of_another_width_are_mixed_too_unless_the_generator_fixes_it(
    exported: Exported,
) -> None:
    labels = torch.tensor([0, 1, 2])
    drawn = drawn_for(labels, samples=8)
    given = inputs_of(drawn, labels, exported.generator.noise_dim)
    if not takes_any_width(exported.model):
        with pytest.raises(Exception, match="index: 1 Got: 8 Expected: 5"):  # of onnxruntime
            exported.make(**given)
        return
    with torch.no_grad():
        expected = exported.generator(labels, drawn, rng_for(2))

    features, weights = exported.make(**given)

    np.testing.assert_allclose(features, expected.features.numpy(), atol=1e-5)
    assert weights.shape == (3, 2, 8)


def test_the_file_has_none_of_the_opponent_s_weights(exported: Exported) -> None:
    names = {name for name, _ in exported.generator.named_parameters()}
    held = {tuple(one.dims) for one in exported.model.graph.initializer}

    assert any("discriminator" in name for name in names) == bool(exported.generator.noise_dim)
    assert not held & {(8, FEATURES + len(SIZES)), (FEATURES + len(SIZES), 8)}


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_every_other_generator_says_that_it_cannot_be_exported(name: str) -> None:
    if name in {one for one, _ in EXPORTED.values()}:
        return
    with pytest.raises(ExportError) as caught:
        traced(built(name))

    assert str(caught.value) == (
        f"Generator '{name}' does not mix drawn features by weights that follow from noise and "
        f"class alone. Expected one that does, such as 'convexgan', 'attention' or 'mean'. Train "
        f"phase 2 with it from the same phase 1: fdmo train --phase1-from RUN."
    )


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("convexgan", {"anchors": "fixed"}, "has anchors = 'fixed': it mixes rows of its own"),
        ("convexgan", {"artificial_streams": "shape"}, "has artificial_streams = 'shape': the"),
        ("attention", {"artificial_streams": "texture"}, "has artificial_streams = 'texture': the"),
    ],
)
def test_a_setting_that_forbids_the_export_is_named(
    name: str, options: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(ExportError, match=f"The generator {reason}.*Expected.*Train phase 2"):
        traced(built(name, **options))


class LooksAtValues(DrawnMean):
    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        return super().weigh(noise, labels, drawn if drawn.sum() > 0 else -drawn, mask)


def test_a_generator_that_cannot_be_traced_is_told_why() -> None:
    generator = LooksAtValues(
        DrawnMeanConfig(), num_classes=4, stream_dims=STREAM_DIMS, samples_per_class=SAMPLES
    )

    with pytest.raises(ExportError) as caught:
        traced(generator)

    assert str(caught.value).startswith("The generator cannot be written as ONNX: ")
    assert str(caught.value).endswith(
        "Expected a weigh() without branches that depend on the values of tensors. Change the "
        "generator, or choose another one."
    )
