from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fdmo_core import ArtificialFeatures, DrawnFeatures, Game, LabelledFeatures
from fdmo_core.classifier import LinearClassifier
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.convexgan.attention import AttentionGan, AttentionGanConfig
from fdmo_plugins.convexgan.generator import ConvexGan, ConvexGanConfig

SIZES, SAMPLES = (20, 9, 3), 5
LABELS = torch.tensor([1, 2, 2, 1, 1, 2])
SMALL = {"noise_dim": 4, "hidden": (8, 8), "discriminator_hidden": (8, 8)}


def generator(samples_per_class: int = SAMPLES, **options: Any) -> AttentionGan:
    torch.manual_seed(0)
    small: dict[str, Any] = SMALL | {"sketch_dim": 3, "key_dim": 6}
    config = AttentionGanConfig.model_validate(small | options)
    gan = AttentionGan(
        config, num_classes=3, stream_dims=STREAM_DIMS, samples_per_class=samples_per_class
    )
    gan.fit(toy_dictionary(SIZES).store, nn.Identity())
    return gan.eval()


def drawn(samples_per_class: int = SAMPLES) -> DrawnFeatures:
    return toy_dictionary(SIZES).draw(LABELS, samples_per_class=samples_per_class, rng=rng_for(0))


@torch.no_grad()
def made(gan: AttentionGan, sets: DrawnFeatures) -> tuple[Tensor, Tensor]:
    artificial: ArtificialFeatures = gan(LABELS, sets, rng_for(1))
    assert artificial.weights is not None
    return artificial.features, artificial.weights


@torch.no_grad()
def test_weights_are_the_attention_written_as_loops() -> None:
    gan, sets = generator(), drawn()
    network = gan.network
    noise = torch.randn(len(LABELS), 4, generator=rng_for(1))

    _, weights = made(gan, sets)

    for sample, group in enumerate(sets.groups.tolist()):
        valid = [s for s in range(SAMPLES) if sets.mask[group, s]]
        encoded = [network.encoder(gan.sketches[sets.rows[group, s]]) for s in valid]
        summary = sum(encoded, torch.zeros(6)) / len(valid)
        known = torch.cat([noise[sample], summary]).unsqueeze(0)
        hidden = network.queries.encode(known, LABELS[sample : sample + 1])
        queries = network.queries.last(hidden)[0].view(2, 6)
        for stream in range(2):
            shares = [(float(queries[stream] @ network.keys(one)) / 6**0.5) for one in encoded]
            total = sum(torch.tensor(shares).exp().tolist())
            expected = [0.0] * SAMPLES
            for s, share in zip(valid, shares, strict=True):
                expected[s] = float(torch.tensor(share).exp()) / total
            assert weights[sample, stream].tolist() == pytest.approx(expected, abs=1e-5)


def test_permuted_rows_get_permuted_weights_and_the_same_features() -> None:
    gan, sets = generator(), drawn()
    order = torch.tensor([3, 0, 4, 1, 2])
    permuted = replace(sets, rows=sets.rows[:, order], mask=sets.mask[:, order])

    features, weights = made(gan, sets)
    again, moved = made(gan, permuted)

    assert torch.allclose(weights[:, :, order], moved, atol=1e-6)
    assert torch.allclose(features, again, atol=1e-5)
    assert not torch.allclose(weights, moved, atol=1e-3)


def test_what_stands_in_the_padding_changes_nothing() -> None:
    gan, sets = generator(), drawn()
    assert not sets.mask.all()
    other = replace(sets, rows=sets.rows.where(sets.mask, 0))

    assert torch.equal(made(gan, sets)[1], made(gan, other)[1])


@pytest.mark.parametrize("width", [1, 3, 8])
def test_sets_of_any_width_can_be_mixed(width: int) -> None:
    features, weights = made(generator(SAMPLES), drawn(width))

    assert features.shape == (len(LABELS), sum(STREAM_DIMS))
    assert weights.shape == (len(LABELS), 2, width)
    assert torch.allclose(weights.sum(dim=2), torch.ones(len(LABELS), 2))


def test_no_layer_is_as_wide_as_the_drawn_set() -> None:
    small, large = (
        [weight.shape for weight in generator(samples).network.parameters()] for samples in (5, 500)
    )

    assert small == large


def test_the_weight_of_a_feature_depends_on_the_others_that_were_drawn() -> None:
    gan, sets = generator(), drawn()
    rows = sets.rows.clone()
    row_of_class_1 = next(row for row in range(20, 29) if row not in rows[0].tolist())
    rows[0, 0] = row_of_class_1
    assert sets.mask[0].all()

    before, after = (made(gan, one)[1][0, 0] for one in (sets, replace(sets, rows=rows)))

    odds = [float(one[1] / one[2]) for one in (before, after)]  # of two features that stayed
    assert odds[0] != pytest.approx(odds[1], abs=1e-5)


def test_gradients_reach_every_parameter_of_the_network() -> None:
    gan = generator()

    features = gan(LABELS, drawn(), rng_for(1)).features
    slopes = torch.autograd.grad(features.square().sum(), list(gan.network.parameters()))

    assert all(slope.abs().max() > 1e-6 for slope in slopes)


def test_streams_have_weights_of_their_own_unless_they_are_tied() -> None:
    own, tied = made(generator(), drawn())[1], made(generator(tie_streams=True), drawn())[1]

    assert not torch.equal(own[:, 0], own[:, 1])
    assert torch.equal(tied[:, 0], tied[:, 1])


@pytest.mark.parametrize(("streams", "kept"), [("texture", 1), ("shape", 0)])
def test_the_stream_that_is_not_artificial_keeps_a_drawn_feature(streams: str, kept: int) -> None:
    _, weights = made(generator(artificial_streams=streams), drawn())

    assert weights[:, kept].amax(dim=1).eq(1).all()
    assert weights[LABELS == 1, 1 - kept].amax(dim=1).lt(1).all()


def test_streams_that_share_their_weights_are_both_artificial() -> None:
    with pytest.raises(ValidationError, match="'texture' has no meaning with tie_streams = true"):
        AttentionGanConfig(tie_streams=True, artificial_streams="texture")


def deceiving_share(gan: AttentionGan | ConvexGan) -> float:
    """Return how much weight goes to the half of a class that deceives, after some updates.

    Features of class 1 are +1 or -1 in the first number, half of them each; the classifier reads
    every class but 1 from the ones. Without the discriminator's term the generator should take
    those only.
    """
    rows = torch.arange(40)
    store = torch.randn(40, sum(STREAM_DIMS), generator=rng_for(7))
    store[:, 0] = (rows % 2) * 2.0 - 1
    real = LabelledFeatures(store, torch.ones(40, dtype=torch.int64))
    gan.fit(real, nn.Identity())
    gan.eval()
    classifier = LinearClassifier(sum(STREAM_DIMS), 3)
    with torch.no_grad():
        classifier.weight.zero_()[[0, 2], 0] = 4.0
        classifier.bias.zero_()
    labels = torch.ones(64, dtype=torch.int64)

    def draw(step: int) -> tuple[Tensor, DrawnFeatures]:
        lines = torch.randperm(40, generator=rng_for(8, step))[:SAMPLES].unsqueeze(0)
        mask = torch.ones_like(lines, dtype=torch.bool)
        return labels, DrawnFeatures(store, lines, mask, torch.zeros_like(labels))

    for step in range(60):
        shown = LabelledFeatures(store, real.labels)
        game = Game(
            step=step,
            real=shown,
            artificial=shown,
            classifier=classifier,
            class_counts=torch.tensor([90, 40, 9]),
            draw=partial(draw, step),
            rng=rng_for(9, step),
        )
        gan.update(game)
    with torch.no_grad():
        firsts = [gan(*draw(1000 + step), rng_for(10, step)).features[:, 0] for step in range(50)]
    return (torch.cat(firsts).mean().item() + 1) / 2


LEARNING: dict[str, Any] = {"adversarial_weight": 0.0, "learning_rate": 0.03}


def test_it_learns_which_features_to_mix() -> None:
    assert deceiving_share(generator(sketch_dim=16, **LEARNING)) > 0.8


@pytest.mark.parametrize(("anchors", "least", "most"), [("drawn", 0.35, 0.65), ("fixed", 0.8, 1)])
def test_a_blind_generator_can_learn_that_only_of_fixed_features(
    anchors: str, least: float, most: float
) -> None:
    torch.manual_seed(0)
    config = ConvexGanConfig.model_validate(SMALL | LEARNING | {"anchors": anchors})
    gan = ConvexGan(config, num_classes=3, stream_dims=STREAM_DIMS, samples_per_class=SAMPLES)

    assert least < deceiving_share(gan) < most
