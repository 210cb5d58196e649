from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fdmo_core import ArtificialFeatures, DrawnFeatures, Game, LabelledFeatures
from fdmo_core.classifier import LinearClassifier
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.convexgan.generator import ConvexGan, ConvexGanConfig
from fdmo_plugins.convexgan.weights import masked_softmax

SIZES, SAMPLES = (20, 9, 3), 5
LABELS = torch.tensor([1, 2, 2, 1, 1, 2])


def generator(**options: Any) -> ConvexGan:
    torch.manual_seed(0)
    small = {"noise_dim": 4, "hidden": (8, 8), "discriminator_hidden": (8, 8)}
    config = ConvexGanConfig.model_validate(small | options)
    built = ConvexGan(config, num_classes=3, stream_dims=STREAM_DIMS, samples_per_class=SAMPLES)
    return built.eval()


def drawn() -> DrawnFeatures:
    return toy_dictionary(SIZES).draw(LABELS, samples_per_class=SAMPLES, rng=rng_for(0))


@torch.no_grad()
def made(gan: ConvexGan) -> ArtificialFeatures:
    artificial: ArtificialFeatures = gan(LABELS, drawn(), rng_for(1))
    return artificial


def game(gan: ConvexGan, step: int, classifier: nn.Module | None = None) -> Game:
    dictionary = toy_dictionary(SIZES)
    return Game(
        step=step,
        real=LabelledFeatures(dictionary.sample(LABELS, rng_for(2)), LABELS),
        artificial=LabelledFeatures(made(gan).features, LABELS),
        classifier=LinearClassifier(sum(STREAM_DIMS), 3) if classifier is None else classifier,
        class_counts=torch.tensor(SIZES),
        draw=lambda: (LABELS, drawn()),
        rng=rng_for(3, step),
    )


def copied(module: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in module.parameters()]


def is_unchanged(module: nn.Module, before: list[Tensor]) -> bool:
    return all(map(torch.equal, before, module.parameters()))


def table_1(samples_per_class: int, **options: Any) -> ConvexGan:
    """Return the networks of the paper's sizes, without memory for their weights."""
    with torch.device("meta"):
        return ConvexGan(
            ConvexGanConfig(**options),
            num_classes=46,
            stream_dims=(2048, 2048),
            samples_per_class=samples_per_class,
        )


def widths(module: nn.Module) -> list[tuple[int, int]]:
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return [(layer.in_features, layer.out_features) for layer in layers]


def test_the_widths_are_those_of_table_1_when_it_is_taken_literally() -> None:
    gan = table_1(10, weights="per-feature")

    assert widths(gan.network) == [(256 + 46, 512), (512, 1024), (1024, 4096 * 10)]
    assert widths(gan.discriminator) == [(4096 + 46, 1024), (1024, 512), (512, 1)]


@pytest.mark.parametrize(
    ("samples_per_class", "expected"), [(10, 42e6), (100, 419.8e6), (300, 1.26e9)]
)
def test_the_literal_last_layer_is_as_large_as_the_facts_say(
    samples_per_class: int, expected: float
) -> None:
    last = table_1(samples_per_class, weights="per-feature").network.last

    count = sum(weight.numel() for weight in last.parameters())
    assert count == (1024 + 1) * 4096 * samples_per_class
    assert count == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("tie_streams", "outputs"), [(False, 200), (True, 100)])
def test_weights_per_sample_need_one_output_a_stream_and_drawn_feature(
    tie_streams: bool, outputs: int
) -> None:
    gan = table_1(100, tie_streams=tie_streams)

    assert widths(gan.network)[-1] == (1024, outputs)


def test_features_are_equation_3_written_as_loops() -> None:
    features, weights, _ = made(generator())

    assert weights is not None
    sets = drawn()
    for sample, group in enumerate(sets.groups.tolist()):
        expected = [0.0] * sum(STREAM_DIMS)
        for s, row in enumerate(sets.rows[group].tolist()):
            for column, value in enumerate(sets.store[row].tolist()):
                stream = 0 if column < STREAM_DIMS[0] else 1
                expected[column] += weights[sample, stream, s].item() * value
        assert features[sample].tolist() == pytest.approx(expected, abs=1e-5)


def test_the_weights_are_the_masked_softmax_of_the_network_on_noise_and_class() -> None:
    gan, sets = generator(), drawn()

    weights = made(gan).weights

    noise = torch.randn(len(LABELS), 4, generator=rng_for(1))
    logits = gan.network.last(gan.network.encode(noise, LABELS)).view(-1, 2, SAMPLES)
    assert weights is not None
    assert torch.allclose(weights, masked_softmax(logits, sets.mask[sets.groups].unsqueeze(1)))


def test_streams_have_weights_of_their_own_unless_they_are_tied() -> None:
    own, tied = made(generator()).weights, made(generator(tie_streams=True)).weights

    assert own is not None
    assert tied is not None
    assert own.shape == tied.shape == (len(LABELS), 2, SAMPLES)
    assert not torch.equal(own[:, 0], own[:, 1])
    assert torch.equal(tied[:, 0], tied[:, 1])


def test_weights_per_feature_are_not_returned() -> None:
    features, weights, _ = made(generator(weights="per-feature"))

    assert features.shape == (len(LABELS), sum(STREAM_DIMS))
    assert weights is None


def test_tied_streams_and_weights_per_feature_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="tie_streams has no meaning with weights = 'per-fea"):
        ConvexGanConfig(tie_streams=True, weights="per-feature")


@pytest.mark.parametrize(("streams", "real"), [("texture", 1), ("shape", 0)])
def test_the_stream_that_is_not_artificial_keeps_one_of_the_drawn_features(
    streams: str, real: int
) -> None:
    features, weights, _ = made(generator(artificial_streams=streams))

    sets = drawn()
    start, end = (0, STREAM_DIMS[0]) if real == 0 else (STREAM_DIMS[0], sum(STREAM_DIMS))
    assert weights is not None
    for sample, group in enumerate(sets.groups.tolist()):
        valid = [
            row
            for row, is_drawn in zip(sets.rows[group], sets.mask[group], strict=True)
            if is_drawn
        ]
        kept = [
            row
            for row in valid
            if torch.equal(features[sample, start:end], sets.store[row, start:end])
        ]
        assert len(kept) == 1
        place = valid.index(kept[0])
        assert weights[sample, real].tolist() == [float(s == place) for s in range(SAMPLES)]


@pytest.mark.parametrize(("streams", "mixed"), [("texture", 0), ("shape", 1)])
def test_the_artificial_stream_is_equation_3_written_as_loops(streams: str, mixed: int) -> None:
    features, weights, _ = made(generator(artificial_streams=streams))

    sets = drawn()
    first = 0 if mixed == 0 else STREAM_DIMS[0]
    assert weights is not None
    for sample, group in enumerate(sets.groups.tolist()):
        assert 0 < weights[sample, mixed].max() < 1
        for column in range(first, first + STREAM_DIMS[mixed]):
            expected = sum(
                weights[sample, mixed, s].item() * sets.store[row, column].item()
                for s, row in enumerate(sets.rows[group].tolist())
            )
            assert features[sample, column].item() == pytest.approx(expected, abs=1e-5)


def test_the_real_stream_changes_with_the_randomness_that_is_passed_in() -> None:
    gan, sets = generator(artificial_streams="texture"), drawn()

    first, again, other = (gan(LABELS, sets, rng_for(seed)).weights for seed in (1, 1, 4))

    assert torch.equal(first[:, 1], again[:, 1])
    assert not torch.equal(first[:, 1], other[:, 1])


def test_one_artificial_stream_needs_one_output_a_drawn_feature() -> None:
    assert widths(table_1(100, artificial_streams="shape").network)[-1] == (1024, 100)


@pytest.mark.parametrize("streams", ["texture", "shape"])
def test_a_generator_of_one_stream_learns(streams: str) -> None:
    gan = generator(artificial_streams=streams)
    before = copied(gan.network)

    gan.update(game(gan, 0))

    assert not is_unchanged(gan.network, before)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"tie_streams": True}, "'shape' has no meaning with tie_streams = true"),
        ({"weights": "per-feature"}, "'shape' has no meaning with weights = 'per-feature'"),
    ],
)
def test_one_artificial_stream_needs_weights_of_its_own(
    option: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        ConvexGanConfig(artificial_streams="shape", **option)


@pytest.mark.parametrize(("every", "steps"), [(1, [0, 1, 2, 3]), (2, [0, 2]), (5, [0])])
def test_the_discriminator_learns_at_every_nth_step_only(every: int, steps: list[int]) -> None:
    gan = generator(discriminator_every=every)

    learned = []
    for step in range(4):
        before = copied(gan.discriminator)
        terms = gan.update(game(gan, step))
        if not is_unchanged(gan.discriminator, before):
            learned.append(step)
        assert ("discriminator" in terms) == (step % every == 0)

    assert learned == steps


def test_the_generator_learns_at_every_step() -> None:
    gan = generator()

    for step in range(3):
        before = copied(gan.network)
        terms = gan.update(game(gan, step))
        assert not is_unchanged(gan.network, before)
        assert {"deception", "realism"} <= terms.keys()


def test_an_update_leaves_the_classifier_and_its_gradients_untouched() -> None:
    gan, classifier = generator(), LinearClassifier(sum(STREAM_DIMS), 3)
    for weight in classifier.parameters():
        weight.grad = torch.full_like(weight, 7.0)
    before = copied(classifier)

    gan.update(game(gan, 0, classifier))

    assert is_unchanged(classifier, before)
    assert all(
        weight.grad.eq(7.0).all() for weight in classifier.parameters() if weight.grad is not None
    )
    assert all(weight.requires_grad for weight in classifier.parameters())


def test_the_generator_s_step_follows_lambda_times_the_realism_gradient() -> None:
    slopes = []
    for adversarial_weight in (0.0, 1.0, 3.0):
        gan = generator(adversarial_weight=adversarial_weight, discriminator_every=100)
        torch.manual_seed(1)
        gan.update(game(gan, 1))
        grad = gan.network.last.weight.grad
        assert grad is not None
        slopes.append(grad)

    deception, realism = slopes[0], slopes[1] - slopes[0]
    assert torch.allclose(slopes[2], deception + 3 * realism, atol=1e-6)
    assert realism.abs().max() > 1e-5


def test_the_majority_is_a_target_unless_it_is_left_out() -> None:
    terms = []
    for deceive_majority in (True, False):
        gan = generator(deceive_majority=deceive_majority)
        torch.manual_seed(1)
        terms.append(gan.update(game(gan, 1))["deception"])

    assert terms[0] > terms[1]


def test_updates_make_artificial_features_more_real_to_the_discriminator() -> None:
    gan = generator(learning_rate=0.01, discriminator_every=100)
    classifier = LinearClassifier(sum(STREAM_DIMS), 3)

    realism = [gan.update(game(gan, step, classifier))["realism"] for step in range(1, 30)]

    assert sum(realism[-5:]) < sum(realism[:5])


def test_the_network_is_in_evaluation_mode_outside_its_update() -> None:
    gan = generator()

    gan.update(game(gan, 0))

    assert not any(module.training for module in gan.modules())


def anchored(seed: int = 0) -> ConvexGan:
    gan = generator(anchors="fixed")
    torch.manual_seed(seed)
    gan.fit(toy_dictionary(SIZES).store, nn.Identity())
    return gan


def test_fixed_anchors_are_mixed_whatever_is_drawn() -> None:
    gan, dictionary = anchored(), toy_dictionary(SIZES)
    sets = [
        dictionary.draw(LABELS, samples_per_class=SAMPLES, rng=rng_for(seed)) for seed in (4, 5)
    ]

    first, second = (gan(LABELS, one, rng_for(1)) for one in sets)

    assert torch.equal(first.features, second.features)
    assert torch.equal(first.rows, second.rows)


def test_features_of_fixed_anchors_are_their_rows_under_their_weights() -> None:
    features, weights, rows = made(anchored())

    assert weights is not None
    assert rows is not None
    store, labels = toy_dictionary(SIZES).store
    for sample, label in enumerate(LABELS.tolist()):
        expected = torch.zeros(sum(STREAM_DIMS))
        for s, row in enumerate(rows[sample].tolist()):
            assert labels[row] == label
            expected[: STREAM_DIMS[0]] += weights[sample, 0, s] * store[row, : STREAM_DIMS[0]]
            expected[STREAM_DIMS[0] :] += weights[sample, 1, s] * store[row, STREAM_DIMS[0] :]
        assert torch.allclose(features[sample], expected, atol=1e-5)


def test_drawn_anchors_name_no_rows_of_their_own() -> None:
    assert made(generator()).rows is None
