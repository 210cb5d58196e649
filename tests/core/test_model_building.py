from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fdmo_core.config import Run
from fdmo_core.errors import ConfigError
from fdmo_core.feature_classifier import FeatureClassifier
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import (
    build_model,
    build_network,
    initial_model,
    initial_network,
    network_like,
)
from fdmo_core.samples import Splits
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_plugins.ldm.head import LandmarkDetectionModule
from fdmo_plugins.small_vgg.extractor import SmallVgg

MakeRun = Callable[..., Run]


def built(run: Run, *, num_landmarks: int = 8) -> TwoStreamClassifier:
    return build_model(run, num_classes=12, num_landmarks=num_landmarks)


def test_the_seed_decides_the_initial_weights(tiny_run: MakeRun) -> None:
    first = snapshot(built(tiny_run()))

    torch.manual_seed(99)

    assert differing(first, snapshot(built(tiny_run()))) == []
    assert "main_classifier.weight" in differing(first, snapshot(built(tiny_run(seed=1))))


def test_the_global_generator_is_left_alone(tiny_run: MakeRun) -> None:
    before = torch.get_rng_state()

    built(tiny_run())

    assert torch.equal(torch.get_rng_state(), before)


def test_both_streams_begin_with_weights_of_their_own(tiny_run: MakeRun) -> None:
    model = built(tiny_run())

    texture, shape = snapshot(model.texture_extractor), snapshot(model.shape_extractor)

    assert any("weight" in name for name in differing(texture, shape))


def test_each_stream_is_the_configured_one(tiny_run: MakeRun) -> None:
    run = tiny_run(shape_stream={"channels": [4, 6]}, model={"feature_ratio": 2})

    model = built(run)

    assert (model.texture_extractor.out_channels, model.shape_extractor.out_channels) == (8, 6)
    assert model.stream_dims == (16, 12)
    assert model.main_classifier.get_parameter("weight").shape == (12, 28)


def test_the_landmark_head_is_told_of_channels_landmarks_and_image_size(tiny_run: MakeRun) -> None:
    head = built(tiny_run(shape_stream={"channels": [4, 6]}), num_landmarks=5).landmark_head

    assert isinstance(head, LandmarkDetectionModule)
    assert (head.num_landmarks, head.image_size) == (5, 24)
    assert head(torch.zeros(2, 6, 7, 7)).heatmaps.shape == (2, 5, 28, 28)


def test_data_without_landmarks_gets_no_landmark_head(tiny_run: MakeRun) -> None:
    assert built(tiny_run(), num_landmarks=0).landmark_head is None


def test_the_auxiliary_classifier_is_configured(tiny_run: MakeRun) -> None:
    assert built(tiny_run(model={"auxiliary_classifier": False})).auxiliary_classifier is None


def test_convolutions_are_stored_channels_last(tiny_run: MakeRun) -> None:
    model = built(tiny_run())

    kernels = [one for one in model.parameters() if one.dim() == 4 and one.shape[1] > 1]
    assert kernels
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in kernels)


FROZEN = {"texture_stream": {"freeze_stages": 1}, "shape_stream": {"freeze_stages": 1}}


def initial(run: Run) -> TwoStreamClassifier:
    return initial_model(run, num_classes=12, num_landmarks=8)


def fill_with_ones(extractor: SmallVgg) -> None:
    """Stand for the loading of weights that come from elsewhere."""
    with torch.no_grad():
        for parameter in extractor.parameters():
            parameter.fill_(1)


def test_initial_weights_are_those_of_the_extractors_and_else_random(
    tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmallVgg, "load_initial_weights", fill_with_ones)

    before, after = snapshot(built(tiny_run())), snapshot(initial(tiny_run()))

    changed = differing(before, after)
    assert {name.split(".")[0] for name in changed} == {"texture_extractor", "shape_extractor"}
    assert all((after[name] == 1).all() for name in changed)


def test_a_trained_network_is_built_again_without_loading_initial_weights(
    tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(extractor: SmallVgg) -> None:
        raise ConfigError("The weights are not there.")

    monkeypatch.setattr(SmallVgg, "load_initial_weights", refuse)

    built(tiny_run())

    with pytest.raises(ConfigError, match=r"The weights are not there\."):
        initial(tiny_run())


def test_equal_initial_weights_give_a_shared_prefix(
    tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = initial(tiny_run(**FROZEN))
    monkeypatch.setattr(SmallVgg, "load_initial_weights", fill_with_ones)
    together = initial(tiny_run(**FROZEN))

    assert apart.num_shared_stages == 0
    assert together.num_shared_stages == 2
    assert initial(tiny_run()).num_shared_stages == 0  # nothing is frozen


def test_the_trial_of_the_network_changes_no_weight(tiny_run: MakeRun) -> None:
    assert differing(snapshot(initial(tiny_run())), snapshot(built(tiny_run()))) == []


def test_a_network_that_cannot_take_the_images_is_refused(tiny_run: MakeRun) -> None:
    with pytest.raises(ConfigError) as caught:
        initial(tiny_run(shape_stream={"channels": [4] * 7}))

    message = str(caught.value)
    assert message.startswith("The network cannot take images of 24 x 24 pixels: ")
    assert message.endswith(
        "Expected extractors that fit data.image_size. Raise data.image_size, or choose fewer "
        "stages in texture_stream and shape_stream."
    )


def test_data_that_are_features_get_a_classifier_of_features(
    tiny_run: MakeRun, feature_splits: Splits
) -> None:
    network = initial_network(tiny_run(), feature_splits)

    assert isinstance(network, FeatureClassifier)
    assert network.stream_dims == (3, 5)
    rows = range(len(feature_splits.train.labels))
    features = np.array([feature_splits.train[row].features for row in rows])
    np.testing.assert_allclose(
        network.standardization.mean.numpy(), features.mean(axis=0), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        network.standardization.deviation.numpy(), features.std(axis=0), rtol=1e-4
    )


def test_features_may_stay_as_they_are(tiny_run: MakeRun, feature_splits: Splits) -> None:
    network = initial_network(tiny_run(model={"standardize": False}), feature_splits)

    features = torch.randn(4, 8)
    assert torch.equal(network.prefix(features), features)


def test_data_that_are_images_get_the_two_streams(tiny_run: MakeRun, tiny_splits: Splits) -> None:
    run = tiny_run()

    assert differing(snapshot(initial_network(run, tiny_splits)), snapshot(initial(run))) == []
    options: dict[str, Any] = {"num_classes": 12, "num_landmarks": 8}
    built_again = build_network(run, stream_dims=(), **options)
    assert differing(snapshot(built_again), snapshot(build_model(run, **options))) == []


def test_a_network_like_a_trained_one_starts_as_that_one_did(
    tiny_run: MakeRun, feature_splits: Splits
) -> None:
    run = tiny_run()
    for network in (initial_network(run, feature_splits), initial(run)):
        before = snapshot(network)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()

        assert differing(snapshot(network_like(run, network)), before) == []


def test_the_seed_decides_the_weights_of_a_classifier_of_features(tiny_run: MakeRun) -> None:
    def weights(seed: int) -> Tensor:
        network = build_network(
            tiny_run(seed=seed), num_classes=3, num_landmarks=0, stream_dims=(4,)
        )
        return network.main_classifier.get_parameter("weight")

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
