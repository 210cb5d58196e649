from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fdmo_core import (
    ArtificialFeatures,
    ConfigError,
    DrawnFeatures,
    FeatureBatch,
    FeatureGenerator,
    Game,
    Loss,
    Phase2Parts,
)
from fdmo_core.classifier import CosineClassifier, LinearClassifier
from fdmo_core.imbalance import generation_probabilities
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import (
    STREAM_DIMS,
    ToyDictionary,
    ToyDictionaryConfig,
    ToyGenerator,
    ToyGeneratorConfig,
    toy_features,
    toy_held_out,
)
from fdmo_plugins.losses.cross_entropy import CrossEntropyLoss, CrossEntropyLossConfig
from fdmo_plugins.losses.ldam import LdamLoss, LdamLossConfig
from fdmo_plugins.rebalancers.adversarial import AdversarialConfig, AdversarialRebalancer

SIZES = (40, 12, 4)


class RecordingDictionary(ToyDictionary):
    """A dictionary that writes down for which labels it was asked, and by which method."""

    def __init__(self, config: ToyDictionaryConfig, **facts: Any) -> None:
        super().__init__(config, **facts)
        self.asked: list[tuple[str, Tensor]] = []

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        self.asked.append(("sample", labels))
        return super().sample(labels, rng)

    def draw(
        self, labels: Tensor, *, samples_per_class: int, rng: torch.Generator
    ) -> DrawnFeatures:
        self.asked.append(("draw", labels))
        return super().draw(labels, samples_per_class=samples_per_class, rng=rng)


class RecordingGenerator(ToyGenerator):
    """A generator that draws once more in its update, as one that learns does."""

    def __init__(self, config: ToyGeneratorConfig, **facts: Any) -> None:
        super().__init__(config, **facts)
        self.games: list[Game] = []

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        assert not self.training
        assert not torch.is_grad_enabled()
        return super().forward(labels, drawn, rng)

    def update(self, game: Game) -> Mapping[str, float]:
        self.games.append(game)
        game.draw()
        return {"generator": 0.5}


def make_generator(samples_per_class: int, *, num_classes: int) -> RecordingGenerator:
    return RecordingGenerator(
        ToyGeneratorConfig(),
        num_classes=num_classes,
        stream_dims=STREAM_DIMS,
        samples_per_class=samples_per_class,
    )


def separable_features() -> FeatureBatch:
    labels = torch.arange(3).repeat_interleave(torch.tensor(SIZES))
    noise = 0.3 * torch.randn(len(labels), sum(STREAM_DIMS), generator=rng_for(0))
    return FeatureBatch(noise + 4 * torch.eye(3, 7)[labels], labels, torch.arange(len(labels)))


def parts(
    sizes: tuple[int, ...] = SIZES, *, loss: Loss | None = None, rows: FeatureBatch | None = None
) -> Phase2Parts:
    dictionary = RecordingDictionary(
        ToyDictionaryConfig(), num_classes=len(sizes), stream_dims=STREAM_DIMS, seed=0
    )
    dictionary.build([rows or toy_features(sizes)])
    counts = torch.tensor(sizes)
    torch.manual_seed(0)
    classifier = LinearClassifier(sum(STREAM_DIMS), len(sizes))
    return Phase2Parts(
        classifier=classifier,
        dictionary=dictionary,
        class_counts=counts,
        make_generator=partial(make_generator, num_classes=len(sizes)),
        loss=loss or CrossEntropyLoss(CrossEntropyLossConfig(), class_counts=counts),
        held_out=partial(toy_held_out, sizes, classifier),
        rng=rng_for(0),
    )


def rebalancer(given: Phase2Parts | None = None, **options: Any) -> AdversarialRebalancer:
    config = AdversarialConfig.model_validate({"samples_per_class": 5} | options)
    return AdversarialRebalancer(config, parts=given or parts())


def step_often(given: Phase2Parts, num_steps: int, **options: Any) -> AdversarialRebalancer:
    built = rebalancer(given, **options)
    for index in range(num_steps):
        built.step(index, rng_for(0, index))
    return built


def asked(given: Phase2Parts, method: str) -> Tensor:
    """Return all labels that a method of the dictionary was asked for."""
    assert isinstance(given.dictionary, RecordingDictionary)
    return torch.cat([labels for name, labels in given.dictionary.asked if name == method])


def test_real_classes_are_drawn_equally_often() -> None:
    given = parts()

    step_often(given, 40, batch_size=256)

    shares = asked(given, "sample").bincount(minlength=3) / (40 * 256)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)  # 4.3 standard deviations


def test_artificial_classes_are_drawn_by_what_they_lack() -> None:
    given = parts()

    step_often(given, 40, batch_size=256)

    labels = asked(given, "draw")
    assert len(labels) == 2 * 40 * 256
    shares = labels.bincount(minlength=3) / len(labels)
    assert shares.tolist() == pytest.approx([0, 28 / 64, 36 / 64], abs=0.015)
    assert generation_probabilities(torch.tensor(SIZES)).tolist() == [0, 28 / 64, 36 / 64]


def test_the_majority_is_never_generated() -> None:
    given = parts()

    built = step_often(given, 5, batch_size=64)

    assert isinstance(built.generator, RecordingGenerator)
    assert not (asked(given, "draw") == 0).any()
    assert not any((game.artificial.labels == 0).any() for game in built.generator.games)


def test_a_class_without_features_is_neither_drawn_nor_generated() -> None:
    given = parts((40, 0, 4))

    step_often(given, 5, batch_size=64)

    assert set(asked(given, "sample").tolist()) == {0, 2}
    assert set(asked(given, "draw").tolist()) == {2}


@pytest.mark.parametrize(("batch_size", "expected"), [(56, 1), (55, 2), (28, 2), (10, 6)])
def test_an_epoch_is_the_dictionary_s_rows_by_the_batch_rounded_up(
    batch_size: int, expected: int
) -> None:
    built = rebalancer(batch_size=batch_size, epochs=3)

    assert built.num_steps == 3 * expected


def test_no_epoch_is_no_step() -> None:
    assert rebalancer(epochs=0).num_steps == 0


def test_a_step_goes_through_the_lines_of_algorithm_1_in_order() -> None:
    events: list[str] = []
    given = parts()
    built = rebalancer(given, batch_size=8)
    assert isinstance(given.dictionary, RecordingDictionary)
    assert isinstance(built.generator, RecordingGenerator)
    built.loss.register_forward_hook(lambda *_: events.append("Q"))
    built.generator.register_forward_hook(lambda *_: events.append("G"))
    for optimizer in built.optimizers().values():
        optimizer.register_step_post_hook(lambda *_: events.append("step"))

    terms = built.step(0, rng_for(0))

    order = [name for name, _ in given.dictionary.asked]
    assert order == ["sample", "draw", "draw"]  # lines 4-5, 7, and 11-12 in the update
    assert events == ["Q", "step", "G", "Q", "step"]  # lines 6, 8, 9
    assert list(terms) == ["real", "artificial", "generator"]


def test_the_update_is_shown_what_the_classifier_learned_from() -> None:
    given = parts()

    built = step_often(given, 3, batch_size=8)

    assert isinstance(built.generator, RecordingGenerator)
    assert [game.step for game in built.generator.games] == [0, 1, 2]
    game = built.generator.games[-1]
    assert game.classifier is built.classifier
    assert torch.equal(game.class_counts, given.class_counts)
    assert torch.equal(game.real.labels, asked(given, "sample")[-8:])
    assert game.artificial.features.shape == (8, sum(STREAM_DIMS))


def test_a_step_updates_by_real_and_then_by_artificial_features() -> None:
    given = parts()

    built = step_often(given, 1, batch_size=8, learning_rate=0.01)

    plain = nn.Linear(sum(STREAM_DIMS), 3)
    plain.load_state_dict(given.classifier.state_dict())
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    assert isinstance(built.generator, RecordingGenerator)
    for features, labels in (built.generator.games[0].real, built.generator.games[0].artificial):
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(features), labels).backward()
        optimizer.step()
    assert torch.equal(built.classifier.get_parameter("weight"), plain.weight)


def test_small_classes_are_noticed_in_one_sentence() -> None:
    built = rebalancer(samples_per_class=20)

    assert list(built.notices) == [
        "2 of 3 classes hold fewer than samples_per_class = 20 features; they give all they have, "
        "the smallest 4."
    ]


def test_classes_that_are_large_enough_are_not_mentioned() -> None:
    assert list(rebalancer(samples_per_class=4).notices) == []


def test_the_generator_is_made_for_the_features_that_are_drawn() -> None:
    generator = rebalancer(samples_per_class=7).generator

    assert generator is not None
    assert generator.samples_per_class == 7


def test_balanced_counts_are_refused_before_phase_1() -> None:
    with pytest.raises(ConfigError) as caught:
        AdversarialRebalancer.check_counts(AdversarialConfig(), torch.tensor([5, 5, 5]))

    assert str(caught.value) == (
        "All 3 classes have 5 training images. Expected at least one class with fewer images than "
        "another. Check that data.* names the long-tailed set that you meant; balanced classes "
        "need no oversampling, so choose a rebalancer that makes no artificial features."
    )


def test_balanced_counts_are_fine_where_nothing_is_generated() -> None:
    config = AdversarialConfig(epochs=0)

    AdversarialRebalancer.check_counts(config, torch.tensor([5, 5, 5]))


def no_generator(_samples_per_class: int) -> FeatureGenerator:
    raise AssertionError("a generator was asked for")


def real_only(given: Phase2Parts) -> Phase2Parts:
    return replace(given, make_generator=no_generator)


def test_without_artificial_features_no_generator_is_made_and_none_is_stepped() -> None:
    built = rebalancer(real_only(parts()), artificial=False)

    assert built.generator is None
    assert list(built.optimizers()) == ["classifier"]
    assert list(built.notices) == []


def test_without_artificial_features_a_step_is_two_updates_on_real_ones() -> None:
    given = real_only(parts())

    built = step_often(given, 1, batch_size=8, learning_rate=0.01, artificial=False)

    plain, dictionary, rng = nn.Linear(sum(STREAM_DIMS), 3), given.dictionary, rng_for(0, 0)
    plain.load_state_dict(given.classifier.state_dict())
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    for _ in range(2):
        labels = torch.ones(3).multinomial(8, replacement=True, generator=rng)
        features = dictionary.sample(labels, rng)
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(features), labels).backward()
        optimizer.step()
    learned = built.classifier.get_parameter("weight")
    assert torch.allclose(learned, plain.weight, atol=1e-7)  # Adam is fused there


def test_without_artificial_features_classes_are_still_drawn_equally_often() -> None:
    given = real_only(parts())

    step_often(given, 20, batch_size=256, artificial=False)

    assert isinstance(given.dictionary, RecordingDictionary)
    assert {name for name, _ in given.dictionary.asked} == {"sample"}
    shares = asked(given, "sample").bincount(minlength=3) / (2 * 20 * 256)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)  # 4.3 standard deviations


def test_without_artificial_features_there_are_as_many_steps() -> None:
    with_, without = (
        rebalancer(epochs=3),
        rebalancer(real_only(parts()), epochs=3, artificial=False),
    )

    assert with_.num_steps == without.num_steps


def test_without_artificial_features_both_losses_are_told() -> None:
    terms = rebalancer(real_only(parts()), artificial=False).step(0, rng_for(0))

    assert list(terms) == ["real", "real_again"]


def test_balanced_counts_are_fine_without_artificial_features() -> None:
    config, counts = AdversarialConfig(artificial=False), torch.tensor([5, 5, 5])

    AdversarialRebalancer.check_counts(config, counts)
    AdversarialRebalancer(config, parts=real_only(parts((5, 5, 5)))).step(0, rng_for(0))


def test_ldam_gets_a_cosine_head_that_begins_with_the_pretrained_weights() -> None:
    loss = LdamLoss(LdamLossConfig(scale=12.0), class_counts=torch.tensor(SIZES))
    given = parts(loss=loss)

    built = rebalancer(given)

    assert isinstance(built.classifier, CosineClassifier)
    assert built.classifier.scale == 12.0
    assert torch.equal(built.classifier.weight, given.classifier.get_parameter("weight"))
    assert built.classifier.weight is not given.classifier.get_parameter("weight")


def test_other_losses_keep_the_pretrained_linear_head() -> None:
    given = parts()

    built = rebalancer(given)

    assert isinstance(built.classifier, LinearClassifier)
    assert torch.equal(built.classifier.bias, given.classifier.get_parameter("bias"))
    assert built.classifier is not given.classifier


@pytest.mark.parametrize("loss_class", [CrossEntropyLoss, LdamLoss])
def test_training_on_separable_features_lowers_both_losses(loss_class: type[Loss]) -> None:
    loss = loss_class(loss_class.config_class(), class_counts=torch.tensor(SIZES))
    built = rebalancer(
        parts(loss=loss, rows=separable_features()), batch_size=32, learning_rate=0.02
    )

    terms = [built.step(index, rng_for(0, index)) for index in range(80)]

    for name in ("real", "artificial"):
        first, last = (sum(one[name] for one in part) for part in (terms[:5], terms[-5:]))
        assert last < 0.5 * first


def test_all_classes_are_recognised_after_training() -> None:
    given = parts(rows=separable_features())

    built = step_often(given, 80, batch_size=32, learning_rate=0.02)

    rows = separable_features()
    right = built.classifier(rows.features).argmax(dim=1) == rows.labels
    assert right.all()
