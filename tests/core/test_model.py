from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.model import ConvBlock, ModelConfig, TwoStreamClassifier, frozen_prefix
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.testing.expectations import differing, snapshot
from fdmo_plugins.ldm.head import LandmarkDetectionModule, LdmConfig
from fdmo_plugins.small_vgg.extractor import SmallVgg, SmallVggConfig


def model(
    *, landmarks: int = 3, freeze_stages: int = 0, ratio: int = 4, auxiliary: bool = True
) -> TwoStreamClassifier:
    """Return a network whose streams have 8 and 6 channels, with 5 classes."""
    with seeded(0, "model"):
        extractors = [
            SmallVgg(SmallVggConfig(channels=channels, freeze_stages=freeze_stages))
            for channels in ((4, 8), (4, 6))
        ]
        head = LandmarkDetectionModule(
            LdmConfig(), in_channels=6, num_landmarks=landmarks or 1, image_size=24
        )
        return TwoStreamClassifier(
            texture_extractor=extractors[0],
            shape_extractor=extractors[1],
            landmark_head=head if landmarks else None,
            num_classes=5,
            config=ModelConfig(feature_ratio=ratio, auxiliary_classifier=auxiliary),
        )


def images(count: int = 3, size: int = 24) -> Tensor:
    return torch.rand(count, 3, size, size, generator=rng_for(0, "images"))


def test_all_outputs_have_their_shapes() -> None:
    outputs = model()(images())

    shape_stream = outputs.shape_stream
    assert outputs.features.shape == (3, 32 + 24)
    assert outputs.logits.shape == (3, 5)
    assert shape_stream.features.shape == (3, 24)
    assert shape_stream.auxiliary_logits is not None
    assert shape_stream.auxiliary_logits.shape == (3, 5)
    assert shape_stream.landmarks is not None
    assert shape_stream.landmarks.heatmaps.shape == (3, 3, 28, 28)
    assert shape_stream.landmarks.visibility_logits.shape == (3, 3)


@pytest.mark.parametrize("ratio", [1, 4])
def test_features_are_as_long_as_the_ratio_says(ratio: int) -> None:
    built = model(ratio=ratio)

    assert built.stream_dims == (8 * ratio, 6 * ratio)
    assert built(images()).features.shape == (3, 14 * ratio)


def test_texture_comes_before_shape() -> None:
    built = model().eval()

    outputs = built(images())

    texture = built.texture_block(built.texture_extractor(images()))
    shape = built.shape_block(built.shape_extractor(images()))
    assert torch.equal(outputs.features, torch.cat([texture, shape], dim=1))
    assert torch.equal(outputs.shape_stream.features, shape)


def test_both_classifiers_score_the_features_of_theirs() -> None:
    built = model().eval()

    outputs = built(images())

    assert built.auxiliary_classifier is not None
    auxiliary = built.auxiliary_classifier(outputs.shape_stream.features)
    assert outputs.shape_stream.auxiliary_logits is not None
    assert torch.equal(outputs.logits, built.main_classifier(outputs.features))
    assert torch.equal(outputs.shape_stream.auxiliary_logits, auxiliary)


def test_extract_gives_the_features_of_forward() -> None:
    built = model().eval()

    assert torch.equal(built.extract(images()), built(images()).features)


def test_the_shape_stream_alone_gives_what_it_gives_in_the_whole() -> None:
    built = model().eval()

    alone, whole = built.shape_stream(images()), built(images()).shape_stream

    assert alone.landmarks is not None
    assert alone.auxiliary_logits is not None
    assert torch.equal(alone.features, whole.features)
    assert torch.equal(alone.auxiliary_logits, whole.auxiliary_logits)
    assert torch.equal(alone.landmarks.heatmaps, whole.landmarks.heatmaps)


def test_without_landmarks_there_is_no_landmark_head() -> None:
    built = model(landmarks=0)

    assert built(images()).shape_stream.landmarks is None
    assert not any("landmark" in name for name in built.state_dict())


def test_the_auxiliary_classifier_can_be_left_out() -> None:
    built = model(auxiliary=False)

    assert built(images()).shape_stream.auxiliary_logits is None
    assert not any("auxiliary" in name for name in built.state_dict())


@pytest.mark.parametrize("size", [16, 24, 40])
def test_images_of_any_size_give_features_of_one_length(size: int) -> None:
    assert model().extract(images(size=size)).shape == (3, 56)


def test_features_are_averages_over_the_map() -> None:
    block = ConvBlock(6, 10).eval()
    maps = torch.randn(2, 6, 5, 3, generator=rng_for(0, "maps"))

    features = block(maps)

    for sample, channels in enumerate(block.layers(maps).tolist()):
        for channel, rows in enumerate(channels):
            total = sum(cell for row in rows for cell in row)
            assert features[sample, channel].item() == pytest.approx(total / 15, abs=1e-6)
    assert features.min() >= 0


def test_the_frozen_prefix_is_as_long_as_the_extractor_says() -> None:
    extractor = SmallVgg(SmallVggConfig(channels=(4, 8, 8), freeze_stages=2))

    assert list(frozen_prefix(extractor)) == list(extractor.stages[:3])
    assert len(frozen_prefix(SmallVgg(SmallVggConfig()))) == 0


def test_the_frozen_prefix_stays_in_evaluation_mode() -> None:
    built = model(freeze_stages=1).train()

    for extractor in (built.texture_extractor, built.shape_extractor):
        assert frozen_prefix(extractor)
        for stage in frozen_prefix(extractor):
            assert not any(module.training for module in stage.modules())
        assert extractor.stages[-1].training
    assert built.texture_block.training


def test_a_step_in_training_mode_leaves_the_frozen_prefix_bit_for_bit() -> None:
    built = model(freeze_stages=1).train()
    prefixes = [frozen_prefix(one) for one in (built.texture_extractor, built.shape_extractor)]
    before = [snapshot(prefix) for prefix in prefixes]
    parameters = [one for one in built.parameters() if one.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.1)

    built(images()).logits.sum().backward()
    optimizer.step()

    for prefix, old in zip(prefixes, before, strict=True):
        assert [one for one in prefix.parameters() if one.grad is not None] == []
        assert differing(old, snapshot(prefix)) == []


def test_all_but_the_frozen_prefix_learns() -> None:
    built = model(freeze_stages=1).train()

    outputs = built(images())
    prediction = outputs.shape_stream.landmarks
    total = outputs.logits.sum() + outputs.shape_stream.auxiliary_logits.sum()
    (total + prediction.heatmaps.sum() + prediction.visibility_logits.sum()).backward()

    frozen = {id(parameter) for parameter in frozen_prefix(built.texture_extractor).parameters()}
    frozen |= {id(parameter) for parameter in frozen_prefix(built.shape_extractor).parameters()}
    assert frozen
    assert {id(one) for one in built.parameters() if one.grad is None} == frozen


def test_evaluation_mode_changes_nothing_but_itself() -> None:
    built = model().eval()
    before = snapshot(built)

    built(images())

    assert differing(before, snapshot(built)) == []


def shared_and_plain(*, freeze_stages: int) -> tuple[TwoStreamClassifier, TwoStreamClassifier]:
    """Return one network twice, whose streams have equal weights; the first shares its prefix."""
    plain = TwoStreamClassifier(
        texture_extractor=stream(freeze_stages),
        shape_extractor=stream(freeze_stages),
        landmark_head=None,
        num_classes=5,
        config=ModelConfig(),
    )
    shared = deepcopy(plain)
    shared.share_prefix()
    return shared, plain


def stream(freeze_stages: int) -> SmallVgg:
    with seeded(0, "stream"):
        return SmallVgg(SmallVggConfig(channels=(4, 8, 8), freeze_stages=freeze_stages))


def counted(module: nn.Module) -> list[int]:
    """Return a list that grows by the size of a batch whenever the module is called."""
    calls: list[int] = []
    module.register_forward_hook(lambda _module, given, _found: calls.append(len(given[0])))
    return calls


def test_nothing_is_shared_before_it_is_asked_for() -> None:
    _, plain = shared_and_plain(freeze_stages=1)

    assert plain.num_shared_stages == 0
    assert list(plain.shared_stages) == []
    given = images()
    assert plain.prefix(given) is given


@pytest.mark.parametrize("freeze_stages", [0, 1, 2, 3])
def test_frozen_stages_of_equal_weights_are_shared(freeze_stages: int) -> None:
    shared, _ = shared_and_plain(freeze_stages=freeze_stages)

    expected = freeze_stages + 1 if freeze_stages else 0  # and the normalisation
    assert shared.num_shared_stages == expected
    assert list(shared.shared_stages) == list(shared.texture_extractor.stages[:expected])


def test_streams_that_have_the_normalisation_alone_in_common_share_nothing() -> None:
    built = model(freeze_stages=1)

    built.share_prefix()

    assert built.num_shared_stages == 0


@pytest.mark.parametrize("freeze_stages", [1, 2, 3])
def test_a_shared_prefix_changes_no_bit(freeze_stages: int) -> None:
    shared, plain = shared_and_plain(freeze_stages=freeze_stages)
    shared.eval()
    plain.eval()

    maps = shared.prefix(images())
    kept = maps.clone()
    outputs, expected = shared(maps), plain(plain.prefix(images()))

    assert torch.equal(outputs.features, expected.features)
    assert torch.equal(outputs.logits, expected.logits)
    assert torch.equal(shared.extract(maps), expected.features)
    assert torch.equal(shared.texture_maps(maps), plain.texture_maps(images()))
    assert torch.equal(maps, kept)


@pytest.mark.parametrize("freeze_stages", [1, 2])
def test_a_training_step_with_a_shared_prefix_changes_no_bit(freeze_stages: int) -> None:
    learned = []
    for one in shared_and_plain(freeze_stages=freeze_stages):
        one.train()
        parameters = [weight for weight in one.parameters() if weight.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=0.01)
        for _ in range(2):
            optimizer.zero_grad()
            one(one.prefix(images())).logits.square().sum().backward()
            optimizer.step()
        learned.append(snapshot(one))

    assert differing(*learned) == []


def test_the_prefix_runs_once_for_both_streams() -> None:
    shared, plain = shared_and_plain(freeze_stages=2)
    calls = [
        [counted(one.texture_extractor.stages[1]), counted(one.shape_extractor.stages[1])]
        for one in (shared, plain)
    ]

    shared.extract(shared.prefix(images()))
    plain.extract(plain.prefix(images()))

    assert calls == [[[3], []], [[3], [3]]]
