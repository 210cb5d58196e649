"""Between the phases, and the loop of phase 2: dictionary, parts, steps."""

import math
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn

from fdmo_core.checkpoint import Position
from fdmo_core.classifier import describe_classifier
from fdmo_core.component_errors import during, names_components
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.dictionary_progress import DictionaryProgress
from fdmo_core.errors import ConfigError, PluginError
from fdmo_core.faults import BadBatch
from fdmo_core.feature_space import FeatureSpace
from fdmo_core.interfaces import (
    FeatureBatch,
    FeatureDictionary,
    FeatureGenerator,
    HeldOut,
    HeldOutSource,
    Phase2Parts,
    Rebalancer,
)
from fdmo_core.journal import Journal
from fdmo_core.maps import Maps
from fdmo_core.network import Network
from fdmo_core.nonfinite import NumberGuard
from fdmo_core.phase2_steps import guarded_steps
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.world import World

EXTRACT_BATCH = 128  # images at a time where nothing is learned


@during("building the dictionary")
def build_dictionary(
    model: Network,
    maps: Maps,
    run: Run,
    *,
    num_classes: int,
    compute: Compute,
    journal: Journal,
    progress: DictionaryProgress | None = None,
    guard: NumberGuard | None = None,
) -> FeatureDictionary:
    """Return the dictionary of the training split's features, in one pass without augmentation.

    Each process fills a dictionary with its share; the rows that they hold make the one that all
    go on with.

    Source: Eq. (2) and Sec. IV-B of the paper.

    Args:
        model: In evaluation mode afterwards.
        maps: Of the training split.
        run: The dictionary.
        num_classes: C.
        compute: Device, precision and processes.
        journal: Shown the progress.
        progress: Of this process's share; None keeps nothing on the way.
        guard: Told features that are not finite; None writes no diagnosis.
    """
    empty = partial(empty_dictionary, run, model, num_classes=num_classes)
    progress = progress or DictionaryProgress()
    held: Iterable[FeatureBatch] = progress.load(journal)
    batches = extract_features(
        model, maps, compute=compute, journal=journal, guard=guard, first=progress.done
    )
    while not progress.is_whole:
        dictionary = empty()
        dictionary.build(chain(held, progress.until_due(batches)))
        held = dictionary.rows()
        if not progress.is_whole:
            progress.keep(dictionary)
    if compute.world.size > 1:
        shares = _rows_of_all(dictionary, compute.world)
        dictionary = empty()
        dictionary.build(shares)
    return dictionary


def _rows_of_all(share: FeatureDictionary, world: World) -> Iterator[FeatureBatch]:
    """Yield the rows that all processes hold, a part of each at a time."""
    own = share.rows()
    while any(parts := world.gather(next(own, None))):
        yield from (FeatureBatch(*part) for part in parts if part)


def empty_dictionary(run: Run, model: Network, *, num_classes: int) -> FeatureDictionary:
    """Return the configured dictionary before it holds a row."""
    return run.dictionary.component(
        run.dictionary.config,
        num_classes=num_classes,
        stream_dims=model.stream_dims,
        seed=run.core.seed,
    )


@torch.no_grad()
def extract_features(
    model: Network,
    maps: Maps,
    *,
    compute: Compute,
    journal: Journal,
    guard: NumberGuard | None = None,
    split: str = "train",
    first: int = 0,
) -> Iterator[FeatureBatch]:
    """Yield the features of this process's share of a split, from its ``first`` batch on.

    Progress, which may end a run that is asked to stop, comes after what is done with a batch.

    Raises:
        NonFiniteError: Features are infinite or NaN.
    """
    guard = guard or NumberGuard("dictionary")
    model.eval()
    num_batches = math.ceil(len(maps) / EXTRACT_BATCH / compute.world.size)
    for index, batch in enumerate(maps.in_order(EXTRACT_BATCH, first=first), first):
        with compute.autocast():
            features = model.extract(batch.maps)
        part = FeatureBatch(features.float().cpu(), batch.labels.cpu(), batch.rows.cpu())
        is_bad = ~part.features.isfinite().all(dim=1)
        if is_bad.any():
            number = index * compute.world.size + compute.world.rank
            bad = BadBatch(part.labels, is_bad, part.sources, split)
            guard.refuse_features(number, part.features, bad)
        yield part
        journal.progress("dictionary", index + 1, num_batches)


@torch.no_grad()
def held_out_scores(
    source: HeldOutSource,
    *,
    model: Network,
    validation: Maps,
    out_of_fold: HeldOut | None,
    compute: Compute,
    journal: Journal,
    guard: NumberGuard | None = None,
) -> HeldOut:
    """Return what phase 1 says of images that it did not learn from; see :class:`Phase2Parts`.

    Raises:
        ConfigError: The validation split is empty.
        PluginError: Out-of-fold scores are asked for, but were not before phase 1.
    """
    if source == "out-of-fold":
        if out_of_fold is None:
            raise PluginError(
                "The rebalancer asks for out-of-fold scores, which were not made. Expected "
                "needs_out_of_fold() to say before phase 1 that they are needed. Correct the "
                "plugin."
            )
        return HeldOut(*(column.to(compute.device) for column in out_of_fold))
    if not len(validation):
        raise ConfigError(
            "The validation split has no image. Expected some to choose a strength on. Give the "
            "data a validation split, or set rebalancer.fit_on = 'out-of-fold' where there is "
            "such a setting."
        )
    own = extract_features(
        model, validation, compute=compute, journal=journal, guard=guard, split="val"
    )
    parts = [FeatureBatch(*part) for share in compute.world.gather(list(own)) for part in share]
    features = torch.cat([part.features for part in parts]).to(compute.device)
    labels = torch.cat([part.labels for part in parts]).to(compute.device)
    return HeldOut(features, model.main_classifier(features), labels)


@names_components
@during("the start of phase2")
def start_phase2(
    run: Run,
    *,
    classifier: nn.Module,
    dictionary: FeatureDictionary,
    class_counts: Tensor,
    held_out: Callable[[HeldOutSource], HeldOut],
    device: torch.device,
) -> Rebalancer:
    """Return the configured rebalancer before its first step.

    Args:
        run: Rebalancer, generator and loss.
        classifier: The main classifier that phase 1 trained; it stays as it is.
        dictionary: On the device.
        class_counts: Training images per class. Shape ``(C,)``, int64.
        held_out: Images that phase 1 did not learn from; see :class:`Phase2Parts`.
        device: Where to train.

    Raises:
        PluginError: The rebalancer's classifier is none that a saved run can be built from.
    """
    seed = run.core.seed
    with seeded(seed, "loss"):
        loss = run.loss.component(run.loss.config, class_counts=class_counts).to(device)
    make_generator = partial(
        _make_generator,
        run,
        num_classes=len(class_counts),
        stream_dims=dictionary.stream_dims,
        device=device,
    )
    parts = Phase2Parts(
        classifier=classifier,
        dictionary=dictionary,
        class_counts=class_counts,
        make_generator=make_generator,
        loss=loss,
        held_out=held_out,
        rng=rng_for(seed, "phase2-start"),
    )
    with seeded(seed, "phase2-weights"):
        rebalancer = run.rebalancer.component(run.rebalancer.config, parts=parts)
    describe_classifier(rebalancer.classifier)  # refuses now what could not be saved afterwards
    return rebalancer


@names_components
def rebalance(
    run: Run, space: FeatureSpace, *, device: torch.device, journal: Journal
) -> Rebalancer:
    """Do phase 2 on features alone, and return the rebalancer after its last step.

    Args:
        run: Dictionary, rebalancer, generator, loss and seed.
        space: What phase 1 left behind.
        device: Where to train.
        journal: Told every step.
    """
    dictionary = run.dictionary.component(
        run.dictionary.config,
        num_classes=len(space.class_names),
        stream_dims=space.stream_dims,
        seed=run.core.seed,
    )
    dictionary.build(space.rows(cross_fitted=run.core.crossfit.dictionary))
    dictionary.to(device)

    def held_out(source: HeldOutSource) -> HeldOut:
        return HeldOut(*(column.to(device) for column in space.held_out(source)))

    rebalancer = start_phase2(
        run,
        classifier=deepcopy(space.classifier).to(device),
        dictionary=dictionary,
        class_counts=space.class_counts,
        held_out=held_out,
        device=device,
    )
    for notice in rebalancer.notices:
        journal.notice(notice)
    guard = NumberGuard("phase2", run.core.nonfinite, journal=journal)
    train_phase2(rebalancer, seed=run.core.seed, journal=journal, guard=guard)
    return rebalancer


def _make_generator(
    run: Run,
    samples_per_class: int,
    *,
    num_classes: int,
    stream_dims: tuple[int, ...],
    device: torch.device,
) -> FeatureGenerator:
    generator = run.generator.component(
        run.generator.config,
        num_classes=num_classes,
        stream_dims=stream_dims,
        samples_per_class=samples_per_class,
    )
    return generator.to(device)


def train_phase2(
    rebalancer: Rebalancer,
    *,
    seed: int,
    journal: Journal,
    first_step: int = 0,
    after_step: Callable[[Position], None] = lambda _: None,
    guard: NumberGuard | None = None,
) -> None:
    """Let the rebalancer do its steps.

    Source: Algorithm 1 of the paper, the loop; the step is the rebalancer's.

    Args:
        rebalancer: Changed in place.
        seed: Of the run.
        journal: Told every step.
        first_step: Where to go on; the state must be what it was after the step before.
        after_step: Called with how far the phase has come.
        guard: Asked what to do with numbers that are not finite; None stops.
    """
    with guarded_steps(rebalancer, guard or NumberGuard("phase2", journal=journal)) as do_step:
        for index in range(first_step, rebalancer.num_steps):
            with during(f"step {index} of phase2"), seeded(seed, "phase2-step", index):
                terms = do_step(index, rng_for(seed, "phase2-draw", index))
            if terms is not None:
                journal.step("phase2", index, rebalancer.num_steps, terms)
            after_step(Position(index + 1, rebalancer.num_steps))
