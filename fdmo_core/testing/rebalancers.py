"""What every rebalancer must do."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fdmo_core.classifier import LinearClassifier
from fdmo_core.interfaces import HeldOut, HeldOutSource, Loss, Phase2Parts, Rebalancer
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
from fdmo_core.testing.toys import (
    CPU,
    STREAM_DIMS,
    ToyDictionary,
    ToyLoss,
    ToyLossConfig,
    toy_dictionary,
    toy_generator,
    toy_held_out,
)

READ, STEP, MAKE = "Rebalancer", "Rebalancer.step", "Rebalancer.make_artificial"
SIZES = (30, 8, 3, 0)  # with a class that has no image
STEPS = 4


def check_is_built_from_its_parts(component: type[Any], config: Any) -> None:
    """It is constructed from its config and the parts, and says how many steps it takes."""
    expect_built(component, Rebalancer, config, parts=parts_of_phase2())
    component.check_counts(config, torch.tensor(SIZES))
    rebalancer = rebalancer_of(component, config)
    expect(
        isinstance(rebalancer.num_steps, int) and rebalancer.num_steps >= 0,
        f"num_steps is {rebalancer.num_steps!r}. Expected an integer from 0.",
        read=READ,
    )
    expect(
        not isinstance(rebalancer.notices, str)
        and all(isinstance(notice, str) and notice for notice in rebalancer.notices),
        f"notices is {rebalancer.notices!r}. Expected a sequence of sentences.",
        read=READ,
    )


def check_classifies_at_any_time(component: type[Any], config: Any) -> None:
    """Before and after its steps the classifier gives a finite score for each class."""
    rebalancer = rebalancer_of(component, config)
    for num_steps in (0, STEPS):
        stepped(rebalancer, range(num_steps))
        for size in (1, 3):
            logits = rebalancer.classifier(torch.ones(size, sum(STREAM_DIMS)))
            expect_tensor(
                logits,
                (size, len(SIZES)),
                torch.float32,
                what=f"The classifier's result for {size} features",
                read="Rebalancer.classifier",
            )


def check_steps_give_finite_terms(component: type[Any], config: Any) -> None:
    """Each step returns finite floats by name and uses no global randomness."""
    rebalancer = rebalancer_of(component, config)
    for index in _first(rebalancer, STEPS):
        with expect_no_global_randomness("step()", read=STEP, module=rebalancer):
            terms = rebalancer.step(index, rng_for(0, "contract-step", index))
        expect_terms(terms, read=STEP)


def check_leaves_what_it_is_given_alone(component: type[Any], config: Any) -> None:
    """The given classifier, the dictionary and the counts are the same after its steps."""
    parts = parts_of_phase2()
    dictionary = parts.dictionary
    assert isinstance(dictionary, ToyDictionary)
    weights = snapshot(parts.classifier)
    given = [*dictionary.store, dictionary.sources, dictionary.class_sizes, parts.class_counts]
    before = [one.clone() for one in given]
    stepped(built(component, config, parts=parts), range(STEPS))
    expect(
        not differing(weights, snapshot(parts.classifier)),
        "Phase 2 changes the classifier that phase 1 trained, so that there is no 'before' to "
        "compare with. Expected it to fine-tune a copy.",
        read="Phase2Parts",
    )
    expect(
        all(map(torch.equal, before, given)),
        "Phase 2 changes the dictionary or the class counts. Expected it to read them only.",
        read="Phase2Parts",
    )


def check_everything_trainable_learns(component: type[Any], config: Any) -> None:
    """Its optimizers hold each trainable parameter, and its steps change each."""
    rebalancer = rebalancer_of(component, config)
    if rebalancer.num_steps == 0:
        raise NotApplicable("It takes no step with this config.")
    expect_optimized(rebalancer, rebalancer.optimizers(), read="Rebalancer.optimizers")
    before = snapshot(rebalancer)
    stepped(rebalancer, range(STEPS))
    expect_all_changed(rebalancer, before, by=f"{STEPS} steps", read=STEP)


def check_repeats_itself(component: type[Any], config: Any) -> None:
    """Two rebalancers built and stepped under one seed end with the same state."""
    first, second = (stepped(rebalancer_of(component, config), range(STEPS)) for _ in range(2))
    lost = differing(snapshot(first), snapshot(second))
    expect(
        not lost,
        f"Two runs of one seed differ in {', '.join(lost)}. Expected the same, bit for bit: draw "
        f"from the generator that step() is given.",
        read=STEP,
    )


def check_goes_on_where_it_was(component: type[Any], config: Any) -> None:
    """Restored weights and optimizers go on as the uninterrupted rebalancer does."""
    rebalancer = stepped(rebalancer_of(component, config), range(STEPS))
    restored = rebalancer_of(component, config, seed=1)
    restore(rebalancer, restored)
    for one in (rebalancer, restored):
        stepped(one, range(STEPS, STEPS + 2))
    features = torch.ones(3, sum(STREAM_DIMS))
    lost = differing(snapshot(rebalancer), snapshot(restored))
    expect(
        not lost and torch.equal(rebalancer.classifier(features), restored.classifier(features)),
        f"After its state and its optimizers were restored, a rebalancer goes on otherwise "
        f"({', '.join(lost) or 'in its classifier'}). Expected everything that a step needs to "
        f"know in one of them.",
        read=READ,
    )


def check_tells_the_loss_how_far_it_is(component: type[Any], config: Any) -> None:
    """A loss that it learns by is told the share of the training that is done, before each step."""
    loss = _WatchedLoss(ToyLossConfig(), class_counts=torch.tensor(SIZES))
    rebalancer = built(component, config, parts=parts_of_phase2(loss=loss))
    for index in _first(rebalancer, STEPS):
        loss.shares, loss.was_asked = [], False
        rebalancer.step(index, rng_for(0, "contract-step", index))
        wanted = index / rebalancer.num_steps
        expect(
            not loss.was_asked or loss.shares == [wanted],
            f"In step {index} of {rebalancer.num_steps} the loss is used after begin_step was "
            f"called with {loss.shares}. Expected one call, with {wanted:g}: losses may change in "
            f"the course of the training.",
            read="Loss.begin_step",
        )


def check_asks_for_the_scores_that_it_announced(component: type[Any], config: Any) -> None:
    """It asks for out-of-fold scores exactly if needs_out_of_fold says so."""
    asked: list[HeldOutSource] = []
    stepped(built(component, config, parts=parts_of_phase2(asked=asked)), range(STEPS))
    announced = component.needs_out_of_fold(config)
    expect(
        announced is ("out-of-fold" in asked),
        f"needs_out_of_fold is {announced}, and the scores asked for are {asked}. Expected True "
        f"where out-of-fold scores are asked for, or they are not there, and False elsewhere, or "
        f"several models are trained for nothing.",
        read="Rebalancer.needs_out_of_fold",
    )


def check_knows_what_its_artificial_features_are_made_of(component: type[Any], config: Any) -> None:
    """It makes features of the wanted classes, from rows that the dictionary has, or none."""
    parts = parts_of_phase2()
    rebalancer = built(component, config, parts=parts)
    stepped(rebalancer, range(STEPS))
    labels = torch.tensor([2, 0, 0, 1, 2])
    with expect_no_global_randomness("make_artificial()", read=MAKE, module=rebalancer):
        made = rebalancer.make_artificial(labels, rng_for(0, "contract-make"))
    if made is None:
        raise NotApplicable("It trains on no artificial features.")
    size = len(labels)
    what = "make_artificial()'s features"
    expect_tensor(made.features, (size, sum(STREAM_DIMS)), torch.float32, what=what, read=MAKE)
    again = rebalancer.make_artificial(labels, rng_for(0, "contract-make"))
    expect(
        again is not None and torch.equal(made.features, again.features),
        "make_artificial() gives other features when it is asked again. Expected the same, bit "
        "for bit: draw from the generator that it is given.",
        read=MAKE,
    )
    if made.weights is None:
        return
    expect(made.rows is not None, "There are weights, and no rows that they are for.", read=MAKE)
    assert made.rows is not None
    num_sources, num_rows = made.weights.shape[2], len(parts.dictionary.sources)
    what = "make_artificial()'s rows"
    expect_tensor(made.rows, (size, num_sources), torch.int64, what=what, read=MAKE)
    expect(
        ((made.rows >= 0) & (made.rows < num_rows)).all(),
        f"Rows are from {int(made.rows.min())} to {int(made.rows.max())}. Expected rows of the "
        f"dictionary's store, which has {num_rows}.",
        read=MAKE,
    )


class _WatchedLoss(ToyLoss):
    """Writes down what it is told."""

    shares: list[float]
    was_asked: bool

    def begin_step(self, share: float) -> None:
        self.shares.append(share)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        self.was_asked = True
        return super().forward(logits, labels)


def parts_of_phase2(
    *,
    loss: Loss | None = None,
    asked: list[HeldOutSource] | None = None,
    device: torch.device = CPU,
) -> Phase2Parts:
    """Return what a rebalancer is handed.

    Args:
        loss: Instead of cross-entropy.
        asked: Gets the sources that the rebalancer asks scores of.
        device: Of features, classifier and loss; class counts stay on the CPU.
    """
    class_counts = torch.tensor(SIZES)
    dictionary = toy_dictionary(SIZES)
    dictionary.to(device)
    with seeded(0, "contract-classifier"):
        classifier: nn.Module = LinearClassifier(sum(STREAM_DIMS), len(SIZES)).to(device)

    def held_out(source: HeldOutSource) -> HeldOut:
        if asked is not None:
            asked.append(source)
        return toy_held_out(SIZES, classifier, source)

    return Phase2Parts(
        classifier=classifier,
        dictionary=dictionary,
        class_counts=class_counts,
        make_generator=partial(toy_generator, num_classes=len(SIZES)),
        loss=(loss or ToyLoss(ToyLossConfig(), class_counts=class_counts)).to(device),
        held_out=held_out,
        rng=rng_for(0, "contract-start"),
    )


def rebalancer_of(
    component: type[Any], config: Any, *, seed: int = 0, device: torch.device = CPU
) -> Rebalancer:
    """Return a rebalancer before its first step, built under a seed."""
    parts = parts_of_phase2(device=device)
    rebalancer: Rebalancer = built(component, config, seed=seed, parts=parts)
    return rebalancer


def _first(rebalancer: Rebalancer, num_steps: int) -> range:
    return range(min(rebalancer.num_steps, num_steps))


def stepped(rebalancer: Rebalancer, steps: range) -> Rebalancer:
    """Return the rebalancer after steps, as far as it takes them."""
    for index in steps:
        if index < rebalancer.num_steps:
            with seeded(0, "contract-step", index):
                rebalancer.step(index, rng_for(0, "contract-draw", index))
    return rebalancer


CHECKS: tuple[Check, ...] = (
    check_is_built_from_its_parts,
    check_classifies_at_any_time,
    check_steps_give_finite_terms,
    check_leaves_what_it_is_given_alone,
    check_everything_trainable_learns,
    check_repeats_itself,
    check_goes_on_where_it_was,
    check_tells_the_loss_how_far_it_is,
    check_asks_for_the_scores_that_it_announced,
    check_knows_what_its_artificial_features_are_made_of,
)
