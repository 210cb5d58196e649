import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from fdmo_core.augmentation import AugmentationConfig
from fdmo_core.batches import Batches
from fdmo_core.checkpoint import Position, checkpoint_files, load_checkpoint, save_checkpoint
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.data import open_batches
from fdmo_core.epoch_order import epoch_rows
from fdmo_core.errors import ConfigError
from fdmo_core.feature_classifier import FeatureClassifier
from fdmo_core.imbalance import log_priors
from fdmo_core.journal import Journal, Progress
from fdmo_core.maps import LiveMaps, MapBatch
from fdmo_core.model import TwoStreamClassifier, frozen_prefix
from fdmo_core.model_building import build_model
from fdmo_core.network import Network
from fdmo_core.phase1 import (
    Phase1Config,
    Phase1State,
    as_it_applies,
    learning_rate,
    phase1_losses,
    require_epochs,
    require_shape_target,
    set_learning_rate,
    start_phase1,
    train_phase1,
)
from fdmo_core.phase1_network import phase1_network
from fdmo_core.randomness import rng_for
from fdmo_core.samples import Splits
from fdmo_core.testing.expectations import differing, snapshot

MakeRun = Callable[..., Run]
CPU = Compute(torch.device("cpu"))


@pytest.fixture
def batches(tiny_run: MakeRun, tiny_splits: Splits) -> Batches:
    return open_batches(tiny_splits, 24, tiny_run().core.loading)["train"]


def started(run: Run, *, num_landmarks: int = 8) -> Phase1State:
    model = build_model(run, num_classes=12, num_landmarks=num_landmarks)
    return start_phase1(model, run.core.phase1, Compute(CPU.device, run.core.compute))


def two_streams(state: Phase1State) -> TwoStreamClassifier:
    assert isinstance(state.model, TwoStreamClassifier)
    return state.model


def live_maps(model: Network, batches: Batches, compute: Compute = CPU) -> LiveMaps:
    return LiveMaps(
        batches, model, compute, augmentation=AugmentationConfig(), mirrored_landmarks=((0, 1),)
    )


def train(state: Phase1State, batches: Batches, run: Run, **options: Any) -> None:
    defaults: dict[str, Any] = {"journal": Journal(), "seed": run.core.seed}
    compute = Compute(CPU.device, run.core.compute)
    maps = live_maps(state.model, batches, compute)
    train_phase1(state, maps, run.core.phase1, compute=compute, **(defaults | options))


def saving(state: Phase1State, folder: Path, *, after: int) -> Callable[[Position], None]:
    """Return what writes a checkpoint after one step and lets the others pass."""

    def save(position: Position) -> None:
        if position.done == after:
            save_checkpoint(
                folder,
                "phase1",
                position=position,
                module=state.model,
                optimizers={"all": state.optimizer},
                scaler=state.scaler,
            )

    return save


def first_batch(model: TwoStreamClassifier, batches: Batches) -> MapBatch:
    return next(live_maps(model, batches).in_order(16))


def losses(
    model: TwoStreamClassifier, batch: MapBatch, *, is_shape_only: bool, **options: Any
) -> dict[str, Tensor]:
    network = phase1_network(model, CPU, is_shape_only=is_shape_only)
    return phase1_losses(
        network(batch.maps),
        batch.labels,
        batch.landmarks,
        model.landmark_head,
        Phase1Config(**options),
        log_prior=log_priors(batch.labels.bincount(minlength=model.num_classes)),
    )


def test_the_rate_of_the_shape_stream_alone_is_its_own() -> None:
    config = Phase1Config(shape_epochs=3, epochs=5, shape_learning_rate=0.5, learning_rate=0.1)

    assert [learning_rate(config, epoch, 0.7) for epoch in range(3)] == [0.5] * 3
    assert learning_rate(config, 3, 0.0) == 0.1


def test_the_rate_of_the_whole_network_falls_along_a_cosine() -> None:
    config = Phase1Config(shape_epochs=3, epochs=5, learning_rate=0.1)

    for epoch in range(3, 8):
        for share in (0.0, 0.25, 0.9):
            progress = (epoch - 3 + share) / 5
            expected = 0.05 + 0.05 * math.cos(progress * math.pi)
            assert learning_rate(config, epoch, share) == pytest.approx(expected, rel=1e-12)


def test_a_constant_rate_stays() -> None:
    config = Phase1Config(shape_epochs=1, epochs=5, learning_rate=0.1, schedule="constant")

    assert {learning_rate(config, epoch, 0.4) for epoch in range(1, 6)} == {0.1}


def test_a_rate_is_set_for_all_parameters() -> None:
    layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
    groups = [{"params": layer.parameters(), "lr": 0.5} for layer in layers]
    optimizer = torch.optim.Adam(groups)

    set_learning_rate(optimizer, 0.25)

    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_adam_gets_all_that_is_not_frozen(tiny_run: MakeRun) -> None:
    run = tiny_run(texture_stream={"freeze_stages": 1}, phase1={"betas": [0.8, 0.99]})

    state = started(run)

    model = two_streams(state)
    (group,) = state.optimizer.param_groups
    frozen = {id(one) for one in frozen_prefix(model.texture_extractor).parameters()}
    everything = {id(one) for one in model.parameters()}
    assert frozen
    assert {id(one) for one in group["params"]} == everything - frozen
    assert tuple(group["betas"]) == (0.8, 0.99)


def test_the_shape_stream_alone_has_no_main_loss(tiny_run: MakeRun, batches: Batches) -> None:
    model = two_streams(started(tiny_run()))

    found = losses(model, first_batch(model, batches), is_shape_only=True)

    assert list(found) == ["auxiliary", "landmark", "visibility"]


@pytest.mark.parametrize(
    ("auxiliary", "num_landmarks", "expected"),
    [
        (True, 8, ["main", "auxiliary", "landmark", "visibility"]),
        (False, 8, ["main", "landmark", "visibility"]),
        (True, 0, ["main", "auxiliary"]),
        (False, 0, ["main"]),
    ],
)
def test_losses_have_the_names_of_what_the_model_has(
    tiny_run: MakeRun, batches: Batches, auxiliary: bool, num_landmarks: int, expected: list[str]
) -> None:
    run = tiny_run(model={"auxiliary_classifier": auxiliary})
    model = two_streams(started(run, num_landmarks=num_landmarks))

    assert list(losses(model, first_batch(model, batches), is_shape_only=False)) == expected


def mean_cross_entropy(logits: list[list[float]], labels: list[int]) -> float:
    terms = [
        math.log(sum(math.exp(score) for score in scores)) - scores[label]
        for scores, label in zip(logits, labels, strict=True)
    ]
    return sum(terms) / len(terms)


def test_both_classifiers_minimise_their_cross_entropy(tiny_run: MakeRun, batches: Batches) -> None:
    model = two_streams(started(tiny_run())).eval()
    batch = first_batch(model, batches)

    found = losses(model, batch, is_shape_only=False, auxiliary_weight=0.25)

    outputs, labels = model(batch.maps), batch.labels.tolist()
    main = mean_cross_entropy(outputs.logits.tolist(), labels)
    auxiliary = mean_cross_entropy(outputs.shape_stream.auxiliary_logits.tolist(), labels)
    assert found["main"].item() == pytest.approx(main, rel=1e-5)
    assert found["auxiliary"].item() == pytest.approx(0.25 * auxiliary, rel=1e-5)


def test_the_landmark_head_scores_its_own_prediction(tiny_run: MakeRun, batches: Batches) -> None:
    model = two_streams(started(tiny_run())).eval()
    batch = first_batch(model, batches)

    found = losses(model, batch, is_shape_only=True)

    prediction = model.shape_stream(batch.maps).landmarks
    assert model.landmark_head is not None
    assert prediction is not None
    expected = model.landmark_head.losses(prediction, batch.landmarks)
    for name in ("landmark", "visibility"):
        assert torch.equal(found[name], expected[name])


def test_epochs_of_the_shape_stream_leave_texture_and_main_classifier_bit_for_bit(
    tiny_run: MakeRun, batches: Batches
) -> None:
    run = tiny_run(phase1={"shape_epochs": 2, "epochs": 0})
    state = started(run)
    before = snapshot(state.model)

    train(state, batches, run)

    changed = {name.split(".")[0] for name in differing(before, snapshot(state.model))}
    assert changed == {"shape_extractor", "shape_block", "landmark_head", "auxiliary_classifier"}


def test_epochs_of_the_whole_network_change_every_part(tiny_run: MakeRun, batches: Batches) -> None:
    run = tiny_run(phase1={"shape_epochs": 0})
    state = started(run)
    before = snapshot(state.model)

    train(state, batches, run)

    changed = {name.split(".")[0] for name in differing(before, snapshot(state.model))}
    assert changed == {name for name, _ in state.model.named_children()}


@pytest.mark.parametrize(("precision", "after"), [("fp32", 4), ("fp16", 4), ("fp32", 7)])
def test_a_run_that_goes_on_from_a_checkpoint_equals_the_uninterrupted_one_bit_for_bit(
    tiny_run: MakeRun, batches: Batches, tmp_path: Path, precision: str, after: int
) -> None:
    run = tiny_run(phase1={"shape_epochs": 1, "epochs": 3}, compute={"precision": precision})
    whole = started(run)
    train(whole, batches, run, after_step=saving(whole, tmp_path, after=after))

    resumed = started(tiny_run(seed=1, compute={"precision": precision}))
    file, _ = checkpoint_files(tmp_path, "phase1")
    done, total = load_checkpoint(
        file,
        module=resumed.model,
        optimizers={"all": resumed.optimizer},
        scaler=resumed.scaler,
    )
    train(resumed, batches, run, first_step=done)

    assert (done, total) == (after, 4 * math.ceil(len(batches) / 32))
    assert differing(snapshot(whole.model), snapshot(resumed.model)) == []


def test_the_seed_decides_order_augmentation_and_dropout(
    tiny_run: MakeRun, batches: Batches
) -> None:
    trained: list[dict[str, Tensor]] = []
    for seed in (0, 0, 1):
        state = started(tiny_run())
        two_streams(state).shape_block.layers.append(nn.Dropout())
        torch.manual_seed(len(trained))  # must not matter
        train(state, batches, tiny_run(), seed=seed)
        trained.append(snapshot(state.model))

    assert differing(trained[0], trained[1]) == []
    assert "main_classifier.weight" in differing(trained[0], trained[2])


def test_every_step_is_told_with_its_terms_and_their_sum(
    tiny_run: MakeRun, batches: Batches
) -> None:
    shown: list[Progress] = []
    told: list[Position] = []
    run = tiny_run(phase1={"shape_epochs": 1, "epochs": 2})

    train(
        started(run),
        batches,
        run,
        journal=Journal(show=shown.append),
        after_step=told.append,
    )

    num_steps = math.ceil(len(batches) / 32)
    assert [one.done for one in shown] == list(range(1, 3 * num_steps + 1))
    assert {(one.phase, one.total) for one in shown} == {("phase1", 3 * num_steps)}
    assert ["main" in one.terms for one in shown] == [False] * num_steps + [True] * 2 * num_steps
    for one in shown:
        terms = sum(value for name, value in one.terms.items() if name != "sum")
        assert one.terms["sum"] == pytest.approx(terms, rel=1e-5)
    assert told == [(done, 3 * num_steps) for done in range(1, 3 * num_steps + 1)]


def test_the_optimizer_gets_the_scheduled_rates(tiny_run: MakeRun, batches: Batches) -> None:
    run = tiny_run(phase1={"shape_epochs": 1, "epochs": 2})
    state = started(run)
    rates: list[float] = []
    state.optimizer.register_step_pre_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )

    train(state, batches, run)

    num_steps = math.ceil(len(batches) / 32)
    assert rates == [
        learning_rate(run.core.phase1, epoch, step / num_steps)
        for epoch in range(3)
        for step in range(num_steps)
    ]


def test_training_lowers_the_loss(tiny_run: MakeRun, batches: Batches) -> None:
    shown: list[Progress] = []
    run = tiny_run(phase1={"shape_epochs": 0, "epochs": 8, "learning_rate": 0.01})

    train(started(run), batches, run, journal=Journal(show=shown.append))

    terms = [one.terms["main"] for one in shown]
    assert sum(terms[-3:]) < 0.8 * sum(terms[:3])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_training_in_reduced_precision_lowers_the_loss_and_keeps_weights_in_fp32(
    tiny_run: MakeRun, batches: Batches, precision: str
) -> None:
    shown: list[Progress] = []
    run = tiny_run(
        phase1={"shape_epochs": 1, "epochs": 7, "learning_rate": 0.01},
        compute={"precision": precision},
    )
    state = started(run)

    train(state, batches, run, journal=Journal(show=shown.append))

    terms = [one.terms["main"] for one in shown if "main" in one.terms]
    assert sum(terms[-3:]) < 0.8 * sum(terms[:3])
    assert {one.dtype for one in state.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_convolutions_are_in_the_reduced_precision_and_losses_in_fp32(
    tiny_run: MakeRun, batches: Batches, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(phase1={"shape_epochs": 0}, compute={"precision": precision})
    state = started(run)
    of_blocks, of_losses = set[torch.dtype](), set[torch.dtype]()
    two_streams(state).texture_block.layers[0].register_forward_hook(
        lambda _module, _given, found: of_blocks.add(found.dtype)
    )

    def watched(logits: Tensor, labels: Tensor) -> Tensor:
        of_losses.add(logits.dtype)
        assert not torch.is_autocast_enabled("cpu")
        return F.nll_loss(logits.log_softmax(dim=1), labels)

    monkeypatch.setattr("fdmo_core.phase1.F.cross_entropy", watched)
    train(state, batches, run)

    assert of_blocks == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert of_losses == {torch.float32}


def test_every_step_sees_the_rows_that_the_sampling_gives(
    tiny_run: MakeRun, batches: Batches
) -> None:
    run = tiny_run(phase1={"shape_epochs": 1, "epochs": 1, "sampling": "balanced"})
    state = started(run)
    maps = live_maps(state.model, batches)
    seen: list[list[list[int]]] = []
    training = maps.training

    def watched(steps: Any, *, seed: int, epoch: int, first: int = 0) -> Any:
        seen.append([rows.tolist() for rows in steps])
        return training(steps, seed=seed, epoch=epoch, first=first)

    maps.training = watched  # type: ignore[method-assign]
    train_phase1(state, maps, run.core.phase1, seed=5, compute=CPU, journal=Journal())

    for epoch, steps in enumerate(seen):
        rng = rng_for(5, "phase1-order", epoch)
        rows = epoch_rows(batches.labels, "balanced", rng)
        assert steps == [part.tolist() for part in rows.split(32)]
    assert len(seen) == 2


def test_a_shape_stream_with_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        require_shape_target(Phase1Config(shape_epochs=3), has_target=False)

    assert str(caught.value) == (
        "phase1.shape_epochs is 3, but the shape stream has neither landmarks nor an auxiliary "
        "classifier to learn from. Expected one of them. Set phase1.shape_epochs = 0 or "
        "model.auxiliary_classifier = true."
    )


@pytest.mark.parametrize(("shape_epochs", "has_target"), [(0, False), (0, True), (3, True)])
def test_a_shape_stream_with_a_target_or_without_epochs_is_fine(
    shape_epochs: int, has_target: bool
) -> None:
    require_shape_target(Phase1Config(shape_epochs=shape_epochs), has_target=has_target)


def test_no_epoch_at_all_is_refused() -> None:
    with pytest.raises(
        ValidationError,
        match="epochs and shape_epochs are both 0; set at least one of them to 1",
    ):
        Phase1Config(shape_epochs=0, epochs=0)


def test_a_prior_is_added_to_the_main_classifier_s_scores_alone(
    tiny_run: MakeRun, batches: Batches
) -> None:
    model = build_model(tiny_run(), num_classes=12, num_landmarks=0).eval()
    batch = first_batch(model, batches)
    prior = log_priors(batch.labels.bincount(minlength=12))
    plain = losses(model, batch, is_shape_only=False)
    adjusted = losses(model, batch, is_shape_only=False, prior_strength=1.5)

    logits = model(batch.maps).logits.tolist()
    expected = 0.0
    for row, label in zip(logits, batch.labels.tolist(), strict=True):
        scores = [score + 1.5 * one for score, one in zip(row, prior.tolist(), strict=True)]
        expected += math.log(sum(map(math.exp, scores))) - scores[label]
    assert adjusted["main"].item() == pytest.approx(expected / len(logits), rel=1e-4)
    assert torch.equal(plain["auxiliary"], adjusted["auxiliary"])


def test_phase_1_can_learn_from_some_images_alone(tiny_run: MakeRun, batches: Batches) -> None:
    run = tiny_run(phase1={"shape_epochs": 0, "epochs": 1, "batch_size": 8})
    seen: list[int] = []

    class Recording(LiveMaps):
        def training(self, steps: Any, **options: Any) -> Any:
            seen.extend(row for step in steps for row in step.tolist())
            return super().training(steps, **options)

    state = started(run)
    maps = Recording(batches, state.model, CPU, augmentation=AugmentationConfig())
    rows = torch.tensor([3, 5, 20, 41, 60])
    train_phase1(
        state, maps, run.core.phase1, seed=0, compute=CPU, journal=Journal(), rows=rows, phase="x"
    )

    assert sorted(seen) == rows.tolist()


def test_pulled_maps_change_what_is_learned(tiny_run: MakeRun, batches: Batches) -> None:
    weights = []
    for pull in (0.0, 0.6, 0.6):
        run = tiny_run(phase1={"shape_epochs": 1, "epochs": 1, "batch_size": 32, "pull": pull})
        state = started(run)
        train(state, batches, run)
        weights.append(snapshot(state.model))

    assert differing(weights[0], weights[1])
    assert not differing(weights[1], weights[2])


def test_without_a_shape_stream_its_epochs_do_not_apply(tiny_run: MakeRun) -> None:
    config = Phase1Config(shape_epochs=3, epochs=2)
    head = FeatureClassifier(stream_dims=(4,), num_classes=3)

    assert as_it_applies(config, head) == config.model_copy(update={"shape_epochs": 0})
    assert as_it_applies(config, two_streams(started(tiny_run()))) == config


def test_a_main_classifier_that_would_train_for_no_epoch_is_refused() -> None:
    require_epochs(Phase1Config(shape_epochs=0, epochs=1))

    with pytest.raises(ConfigError) as caught:
        require_epochs(Phase1Config(shape_epochs=3, epochs=0))

    assert str(caught.value) == (
        "phase1.epochs is 0, and data that are features have no shape stream: phase 1 would train "
        "nothing. Expected at least 1 epoch for the main classifier. Set phase1.epochs."
    )
