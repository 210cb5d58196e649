import numpy as np
import pytest
import torch
from torch import Tensor

from fdmo_core.feature_classifier import FeatureClassifier, Standardization


@pytest.fixture
def features() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(50, 4, generator=generator)
    return values * torch.tensor([0.01, 1, 100, 1e4]) + torch.tensor([5, 0, -3, 1e4])


def measured(features: Tensor, *sizes: int) -> Standardization:
    standardization = Standardization(features.shape[1])
    standardization.measure(features.split(list(sizes)))
    return standardization


def test_before_it_is_measured_nothing_changes(features: Tensor) -> None:
    assert torch.equal(Standardization(4)(features), features)


@pytest.mark.parametrize("sizes", [(50,), (1,) * 50, (0, 7, 0, 43)])
def test_mean_and_deviation_are_those_of_all_parts_together(
    features: Tensor, sizes: tuple[int, ...]
) -> None:
    found = measured(features, *sizes)

    expected = features.double().numpy()
    np.testing.assert_allclose(found.mean.numpy(), expected.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.deviation.numpy(), expected.std(axis=0), rtol=1e-6)
    standardised = found(features).double().numpy()
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(standardised.std(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1e-12, -7.0, 123456.7])
def test_a_constant_feature_becomes_zero_and_stays_finite(features: Tensor, value: float) -> None:
    features[:, 1] = value

    found = measured(features, 20, 30)

    assert found.deviation[1] == 1
    assert not found(features)[:, 1].any()


def test_a_tiny_deviation_beside_a_large_mean_counts_as_constant(features: Tensor) -> None:
    features[:, 1] = 1e6
    features[3, 1] += 0.125  # two steps of float32

    assert measured(features, 50).deviation[1] == 1


def test_a_small_feature_is_scaled_up(features: Tensor) -> None:
    features[:, 1] *= 1e-10

    assert measured(features, 50).deviation[1] < 1e-9


def test_the_network_is_the_standardised_features_and_one_layer(features: Tensor) -> None:
    network = FeatureClassifier(stream_dims=(1, 3), num_classes=3)
    network.standardization.measure([features])

    maps = network.prefix(features)
    outputs = network(maps)

    assert (network.num_classes, network.stream_dims) == (3, (1, 3))
    assert network.input_dim == 4
    assert network.landmark_head is None
    assert outputs.shape_stream is None
    torch.testing.assert_close(maps, network.standardization(features))
    assert network.extract(maps) is maps
    weight, bias = (network.main_classifier.get_parameter(name) for name in ("weight", "bias"))
    torch.testing.assert_close(outputs.logits, maps @ weight.T + bias)


def test_the_standardisation_is_saved_and_never_trained() -> None:
    network = FeatureClassifier(stream_dims=(4,), num_classes=3)

    assert [name for name, _ in network.named_parameters()] == [
        "main_classifier.weight",
        "main_classifier.bias",
    ]
    assert {"standardization.mean", "standardization.deviation"} <= network.state_dict().keys()
    assert network.shared_stages == ()
