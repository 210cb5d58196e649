import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core import DrawnFeatures, Game, LabelledFeatures
from fdmo_core.classifier import LinearClassifier
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.convexgan.gamo import Gamo, GamoConfig, GamoNetwork

SIZES = (7, 4, 3, 1)
LABELS = torch.tensor([1, 3, 2, 1, 0, 2])
STILL = {"learning_rate": 1e-12}  # so small that the networks stay as they are


def generator(**options: Any) -> Gamo:
    torch.manual_seed(0)
    small: dict[str, Any] = {"noise_dim": 3, "hidden": (6, 5), "discriminator_hidden": (5, 4)}
    config = GamoConfig.model_validate(small | options)
    gan = Gamo(config, num_classes=4, stream_dims=STREAM_DIMS, samples_per_class=2)
    gan.fit(toy_dictionary(SIZES).store, nn.Identity())
    return gan.eval()


def drawn(labels: Tensor = LABELS) -> DrawnFeatures:
    return toy_dictionary(SIZES).draw(labels, samples_per_class=2, rng=rng_for(0))


@torch.no_grad()
def made(gan: Gamo, labels: Tensor = LABELS) -> tuple[Tensor, Tensor, Tensor]:
    features, weights, rows = gan(labels, drawn(labels), rng_for(1))
    return features, weights, rows


def classifier() -> LinearClassifier:
    torch.manual_seed(1)
    return LinearClassifier(sum(STREAM_DIMS), 4)


def game(gan: Gamo, step: int = 0, batch: int = 6) -> Game:
    labels = LABELS[:batch]
    return Game(
        step=step,
        real=LabelledFeatures(toy_dictionary(SIZES).sample(labels, rng_for(2)), labels),
        artificial=LabelledFeatures(made(gan)[0][:batch], labels),
        classifier=classifier(),
        class_counts=torch.tensor(SIZES),
        draw=lambda: (labels, drawn(labels)),
        rng=rng_for(3, step),
    )


def steps_taken(optimizer: torch.optim.Optimizer, module: nn.Module) -> set[int]:
    return {int(optimizer.state[weight]["step"]) for weight in module.parameters()}


def test_the_networks_have_the_widths_of_gamo() -> None:
    gan = Gamo(GamoConfig(), num_classes=10, stream_dims=(512,), samples_per_class=1)
    labels = torch.arange(10).repeat_interleave(torch.tensor([40, 3] + [2] * 8))
    gan.fit(LabelledFeatures(torch.zeros(len(labels), 512), labels), nn.Identity())

    widths = [
        [
            (layer.in_features, layer.out_features)
            for layer in module.modules()
            if isinstance(layer, nn.Linear)
        ]
        for module in (gan.network.trunk, gan.network.layers, gan.discriminator)
    ]

    assert widths[0] == [(110, 256), (256, 64)]
    assert widths[1] == [(64, 40), (64, 3)] + [(64, 2)] * 8
    assert widths[2] == [(522, 256), (256, 128), (128, 1)]


def normed(values: list[float], norm: nn.BatchNorm1d) -> list[float]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    columns = zip(
        values,
        norm.running_mean.tolist(),
        norm.running_var.tolist(),
        norm.weight.tolist(),
        norm.bias.tolist(),
        strict=True,
    )
    return [(x - m) / math.sqrt(v + norm.eps) * w + b for x, m, v, w, b in columns]


def layered(values: list[float], layer: nn.Linear) -> list[float]:
    return [
        sum(weight * value for weight, value in zip(row, values, strict=True)) + bias
        for row, bias in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    ]


def test_weights_are_trunk_and_class_layer_written_as_loops() -> None:
    torch.manual_seed(0)
    network = GamoNetwork(noise_dim=3, num_classes=2, hidden=(6, 5), sizes={0: 4, 1: 3})
    network(torch.randn(8, 3), 1)  # moves the running averages
    network.eval()
    noise = torch.randn(1, 3)

    values = [*noise[0].tolist(), 0.0, 1.0]
    for place in (0, 3):
        linear, norm = network.trunk[place], network.trunk[place + 2]
        assert isinstance(linear, nn.Linear)
        assert isinstance(norm, nn.BatchNorm1d)
        values = normed([max(0.0, one) for one in layered(values, linear)], norm)
    last = network.layers["1"]
    assert isinstance(last, nn.Linear)
    shares = [math.exp(one) for one in layered(values, last)]

    expected = [one / sum(shares) for one in shares]
    assert network(noise, 1)[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_feature_is_all_rows_of_its_class_under_its_weights() -> None:
    features, weights, rows = made(generator())

    store, labels = toy_dictionary(SIZES).store
    assert weights.shape == (6, 2, 7)
    for sample, label in enumerate(LABELS.tolist()):
        used = [s for s in range(7) if weights[sample, 0, s] > 0]
        assert sorted(rows[sample, s].item() for s in used) == [
            row for row in range(len(labels)) if labels[row] == label
        ]
        expected = [
            sum(weights[sample, 0, s].item() * store[rows[sample, s], column].item() for s in used)
            for column in range(sum(STREAM_DIMS))
        ]
        assert features[sample].tolist() == pytest.approx(expected, abs=1e-5)
        assert torch.equal(weights[sample, 0], weights[sample, 1])


def test_weights_are_as_wide_as_the_largest_class_that_is_asked_for() -> None:
    _, weights, rows = made(generator(), torch.tensor([2, 1]))

    assert weights.shape == (2, 2, 4)
    assert rows.shape == (2, 4)


def test_a_class_of_one_row_gives_that_row() -> None:
    gan = generator()

    features, weights, _ = made(gan, torch.tensor([3]))

    assert torch.equal(features[0], toy_dictionary(SIZES).store.features[-1])
    assert weights.tolist() == [[[1.0], [1.0]]]
    assert "3" not in gan.network.layers


def test_each_class_takes_a_step_against_each_opponent() -> None:
    gan = generator()
    optimizer = gan.optimizers()["network"]

    gan.update(game(gan))

    assert all(steps_taken(optimizer, layer) == {2} for layer in gan.network.layers.values())
    assert steps_taken(optimizer, gan.network.trunk) == {2 * 3}


@pytest.mark.parametrize(("every", "expected"), [(1, {6}), (2, {4})])
def test_the_discriminator_takes_a_step_for_real_and_one_for_artificial_features(
    every: int, expected: set[int]
) -> None:
    gan = generator(discriminator_every=every)

    for step in range(3):
        gan.update(game(gan, step))

    assert steps_taken(gan.optimizers()["discriminator"], gan.discriminator) == expected


def test_the_discriminator_s_targets_are_moved_by_uniform_noise() -> None:
    gan = generator(**STILL)
    shown, rng = game(gan), rng_for(3, 0)

    value = gan.update(shown)["discriminator"]

    expected = 0.0
    for features, target, sign in ((shown.real, 1.0, -1), (shown.artificial, 0.0, 1)):
        scores = gan.discriminator(*features).tolist()
        noise = (0.1 * torch.rand(6, generator=rng)).tolist()
        errors = [(s - target - sign * n) ** 2 for s, n in zip(scores, noise, strict=True)]
        expected += sum(errors) / 6
    assert value == pytest.approx(expected, rel=1e-4)


def test_both_objectives_are_squared_errors_to_all_other_classes_and_to_real() -> None:
    gan, judge = generator(discriminator_every=2, **STILL), classifier()

    terms = gan.update(game(gan, step=1))

    rng, deception, realism = rng_for(3, 1), 0.0, 0.0
    store, labels = toy_dictionary(SIZES).store
    gan.network.train()
    for label in (0, 1, 2):
        noise = torch.randn(2, 3, generator=rng)  # 6 samples over 4 classes, rounded up
        mixed = gan.network(noise, label) @ store[labels == label]
        for feature, row in zip(mixed, judge(mixed).softmax(dim=1).tolist(), strict=True):
            errors = [(float(c != label) - p) ** 2 for c, p in enumerate(row)]
            deception += sum(errors) / 4 / 2 / 3  # mean of classes, samples, labels
            score = gan.discriminator(feature.unsqueeze(0), torch.tensor([label])).item()
            realism += (1 - score) ** 2 / 2 / 3
    assert terms["deception"] == pytest.approx(deception, rel=1e-4)
    assert terms["realism"] == pytest.approx(realism, rel=1e-4)


def test_a_batch_smaller_than_the_classes_still_gives_every_class_two_samples() -> None:
    gan = generator()

    terms = gan.update(game(gan, batch=2))

    assert all(math.isfinite(value) for value in terms.values())


def test_the_network_is_in_evaluation_mode_outside_its_update() -> None:
    gan = generator()

    gan.update(game(gan))

    assert not any(module.training for module in gan.modules())


def test_it_learns_to_deceive_the_classifier() -> None:
    gan = generator(learning_rate=0.01, discriminator_every=100)

    terms = [gan.update(game(gan, step))["deception"] for step in range(1, 40)]

    assert sum(terms[-5:]) < sum(terms[:5])
