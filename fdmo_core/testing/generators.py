"""What every feature generator must do."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fdmo_core.classifier import LinearClassifier
from fdmo_core.combination import dense_combination
from fdmo_core.errors import ExportError
from fdmo_core.interfaces import (
    ArtificialFeatures,
    DrawnFeatures,
    FeatureGenerator,
    Game,
    LabelledFeatures,
)
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.testing.checkpoints import restore
from fdmo_core.testing.expectations import (
    Check,
    NotApplicable,
    built,
    differing,
    expect,
    expect_all_changed,
    expect_built,
    expect_no_global_randomness,
    expect_optimized,
    expect_tensor,
    expect_terms,
    snapshot,
)
from fdmo_core.testing.toys import CPU, STREAM_DIMS, toy_dictionary

READ, UPDATE = "FeatureGenerator.forward", "FeatureGenerator.update"
WEIGH = "FeatureGenerator.weigh"
SIZES = (20, 9, 3, 1)  # the last two have fewer than S, so there is padding
SAMPLES = 5
LABELS = (1, 2, 3, 2, 1, 1)
STEPS = 6  # enough for a part that learns every fifth step only
MIXES_NOTHING = "It gives no weights: its features are not mixed of real ones."
WEIGHS_NOTHING = "It refuses weigh(): what it makes does not follow from noise and class alone."
FACTS = {"num_classes": len(SIZES), "stream_dims": STREAM_DIMS, "samples_per_class": SAMPLES}


def check_is_built_from_streams_and_classes(component: type[Any], config: Any) -> None:
    """It is constructed from its config, the classes, the streams and the size of a draw."""
    expect_built(component, FeatureGenerator, config, **FACTS)


def check_makes_a_feature_of_each_label(component: type[Any], config: Any) -> None:
    """Each label gets a finite joined feature: in any batch, of one sample or one class too."""
    generator = generator_of(component, config)
    for labels in (LABELS, (2,), (3, 3)):
        made = made_for(generator, labels)
        features, weights = made.features, made.weights
        what = f"The result for labels {labels}"
        expect_tensor(
            features, (len(labels), sum(STREAM_DIMS)), torch.float32, what=what, read=READ
        )
        num_sources = SAMPLES if made.rows is None else made.rows.shape[1]
        parts = (len(STREAM_DIMS), sum(STREAM_DIMS))
        shapes = [(len(labels), one, num_sources) for one in parts]
        expect(
            weights is None or tuple(weights.shape) in shapes,
            f"The weights for labels {labels} have shape "
            f"{None if weights is None else tuple(weights.shape)}. Expected (B, T, S) = "
            f"{shapes[0]}, (B, F, S) = {shapes[1]}, or None.",
            read="ArtificialFeatures",
        )


def check_weights_are_convex(component: type[Any], config: Any) -> None:
    """Its weights are non-negative, sum to 1 and are 0 on padding."""
    made = made_for(generator_of(component, config))
    weights = made.weights
    if weights is None:
        raise NotApplicable(MIXES_NOTHING)
    expect(
        (weights >= 0).all() and torch.allclose(weights.sum(2), torch.ones(()), atol=1e-5),
        f"The weights lie in [{weights.min():g}, {weights.max():g}] and sum to "
        f"{weights.sum(2).min():g} to {weights.sum(2).max():g}. Expected non-negative weights "
        f"that sum to 1.",
        read="ArtificialFeatures",
    )
    if made.rows is not None:
        return
    padding = ~drawn_for().mask[drawn_for().groups].unsqueeze(1).expand_as(weights)
    expect(
        not weights[padding].any(),
        f"The weights on padding reach {weights[padding].max():g}. Expected 0 where the mask "
        f"of the drawn features is False.",
        read="DrawnFeatures",
    )


def check_features_are_what_the_weights_say(component: type[Any], config: Any) -> None:
    """Its features are its sources under its weights, so they lie in their bounding box."""
    made = made_for(generator_of(component, config))
    if made.weights is None:
        raise NotApplicable(MIXES_NOTHING)
    drawn, weights = drawn_for(), made.weights
    rows = drawn.rows[drawn.groups] if made.rows is None else made.rows  # (B, S)
    if weights.shape[1] == len(STREAM_DIMS):
        weights = weights.repeat_interleave(torch.tensor(STREAM_DIMS), dim=1)  # (B, F, S)
    for sample, feature in enumerate(made.features):
        used = weights[sample].any(dim=0)  # (S,)
        sources = drawn.store[rows[sample]]  # (S, F)
        expect(
            (feature >= sources[used].amin(0) - 1e-4).all()
            and (feature <= sources[used].amax(0) + 1e-4).all(),
            f"A feature of class {LABELS[sample]} leaves the bounding box of the features that "
            f"it was made of. Expected a convex combination of them, or no weights.",
            read="ArtificialFeatures",
        )
        expect(
            torch.allclose(feature, (weights[sample] * sources.T).sum(1), atol=1e-4),
            "A feature is not the sum of its sources under its weights. Expected weights "
            "that name the sources of each artificial feature, or None.",
            read="ArtificialFeatures",
        )


@torch.no_grad()
def check_what_is_exported_is_what_it_makes(component: type[Any], config: Any) -> None:
    """Unless it refuses, its weights of the noise that it draws first mix the same features."""
    generator, drawn, labels = generator_of(component, config), drawn_for(), torch.tensor(LABELS)
    noise = torch.randn(len(LABELS), generator.noise_dim, generator=rng_for(0, "contract-noise"))
    sets, mask = drawn.features()[drawn.groups], drawn.mask[drawn.groups]
    try:
        weights = generator.weigh(noise, labels, sets, mask)
    except ExportError as error:
        raise NotApplicable(WEIGHS_NOTHING) from error
    made = generator(labels, drawn, rng_for(0, "contract-noise")).features
    again = dense_combination(weights, sets, STREAM_DIMS)
    expect(
        torch.allclose(made, again, atol=1e-4),
        f"forward() and weigh() disagree by up to {(made - again).abs().max():g} on the same "
        f"noise. Expected the weights that forward() mixes by, or an ExportError.",
        read=WEIGH,
    )


def check_the_given_generator_decides(component: type[Any], config: Any) -> None:
    """Generators of one seed make the same features, and nothing global is drawn from."""
    generator = generator_of(component, config)
    with expect_no_global_randomness("In evaluation mode the generator", read=READ):
        first = made_for(generator).features
    expect(
        torch.equal(first, made_for(generator).features),
        "Two calls with random generators of one seed make different features. Expected the same.",
        read=READ,
    )
    expect(
        not differing(snapshot(generator), snapshot(generator_of(component, config))),
        "Two generators built under one seed have different weights. Expected the same.",
        read="FeatureGenerator",
    )


def check_update_gives_finite_terms(component: type[Any], config: Any) -> None:
    """Each update returns finite floats by name and uses no global randomness."""
    generator, classifier = generator_of(component, config), _classifier()
    for step in range(STEPS):
        with expect_no_global_randomness("update()", read=UPDATE, module=generator):
            terms = generator.update(_game(generator, classifier, step))
        expect_terms(terms, read=UPDATE)


def check_update_changes_only_itself(component: type[Any], config: Any) -> None:
    """An update leaves the classifier with its gradients, and all that it is shown, as they are."""
    generator, classifier = generator_of(component, config), _classifier()
    game = _game(generator, classifier, step=0)
    shown = [*game.real, *game.artificial, game.class_counts, game.draw()[1].store]
    before = snapshot(classifier), [one.clone() for one in shown]
    generator.update(game)
    expect(
        not differing(before[0], snapshot(classifier)),
        "update() changes the classifier. Expected it to change the generator's own weights only.",
        read="Game",
    )
    expect(
        all(weight.grad is None for weight in classifier.parameters()),
        "update() leaves gradients on the classifier, which its own step would add to. Expected "
        "none: ask torch.autograd.grad for the generator's parameters.",
        read="Game",
    )
    expect(
        all(map(torch.equal, before[1], shown)),
        "update() changes features, labels or counts in place. Expected it to work on copies.",
        read="Game",
    )


def check_everything_trainable_learns(component: type[Any], config: Any) -> None:
    """Its optimizers hold each trainable parameter, and six updates change each."""
    generator = generator_of(component, config)
    expect_optimized(generator, generator.optimizers(), read="FeatureGenerator.optimizers")
    before = snapshot(generator)
    _updated(generator, range(STEPS))
    expect_all_changed(generator, before, by=f"{STEPS} updates", read=UPDATE)


def check_goes_on_where_it_was(component: type[Any], config: Any) -> None:
    """Restored weights and optimizers go on as the uninterrupted generator does, bit for bit."""
    generator = _updated(generator_of(component, config), range(STEPS))
    restored = generator_of(component, config, seed=1)
    restore(generator, restored)
    expect(
        torch.equal(made_for(generator).features, made_for(restored).features),
        "A generator whose state_dict was restored makes other features. Expected the same.",
        read="FeatureGenerator",
    )
    _updated(generator, range(STEPS, STEPS + 2))
    _updated(restored, range(STEPS, STEPS + 2))
    lost = differing(snapshot(generator), snapshot(restored))
    expect(
        not lost,
        f"After its state and its optimizers were restored, a generator learns otherwise: "
        f"{', '.join(lost)}. Expected everything that update() needs to know in one of them.",
        read="FeatureGenerator.optimizers",
    )


def generator_of(
    component: type[Any], config: Any, *, seed: int = 0, device: torch.device = CPU
) -> FeatureGenerator:
    """Return a fitted generator in evaluation mode, built under a seed."""
    generator: FeatureGenerator = built(component, config, seed=seed, **FACTS).to(device)
    dictionary = toy_dictionary(SIZES)
    dictionary.to(device)
    with seeded(seed, "contract-fit"):
        generator.fit(dictionary.store, _classifier().to(device))
    return generator.eval()


def drawn_for(labels: Sequence[int] = LABELS) -> DrawnFeatures:
    """Return what is drawn for the labels."""
    return toy_dictionary(SIZES).draw(
        torch.tensor(labels), samples_per_class=SAMPLES, rng=rng_for(0, "contract-draw")
    )


@torch.no_grad()
def made_for(generator: FeatureGenerator, labels: Sequence[int] = LABELS) -> ArtificialFeatures:
    """Return what a generator makes of the labels."""
    made: ArtificialFeatures = generator(
        torch.tensor(labels), drawn_for(labels), rng_for(0, "contract-make")
    )
    return made


def _classifier() -> nn.Module:
    with seeded(0, "contract-classifier"):
        return LinearClassifier(sum(STREAM_DIMS), len(SIZES))


def _game(generator: FeatureGenerator, classifier: nn.Module, step: int) -> Game:
    rng, dictionary = rng_for(0, "contract-game", step), toy_dictionary(SIZES)
    labels = torch.tensor(LABELS)

    def draw() -> tuple[Tensor, DrawnFeatures]:
        return labels, dictionary.draw(labels, samples_per_class=SAMPLES, rng=rng)

    with torch.no_grad():
        artificial = generator(*draw(), rng).features
    return Game(
        step=step,
        real=LabelledFeatures(dictionary.sample(labels, rng), labels),
        artificial=LabelledFeatures(artificial, labels),
        classifier=classifier,
        class_counts=torch.tensor(SIZES),
        draw=draw,
        rng=rng,
    )


def _updated(generator: FeatureGenerator, steps: range) -> FeatureGenerator:
    classifier = _classifier()
    for step in steps:
        with seeded(0, "contract-update", step):
            generator.update(_game(generator, classifier, step))
    return generator


CHECKS: tuple[Check, ...] = (
    check_is_built_from_streams_and_classes,
    check_makes_a_feature_of_each_label,
    check_weights_are_convex,
    check_features_are_what_the_weights_say,
    check_what_is_exported_is_what_it_makes,
    check_the_given_generator_decides,
    check_update_gives_finite_terms,
    check_update_changes_only_itself,
    check_everything_trainable_learns,
    check_goes_on_where_it_was,
)
