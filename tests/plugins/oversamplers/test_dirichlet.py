from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from fdmo_core import DrawnFeatures
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.oversamplers.dirichlet import Dirichlet, DirichletConfig, log_gamma_variates

SAMPLES = 5


def drawn(labels: Tensor) -> DrawnFeatures:
    return toy_dictionary((20, 9, 3)).draw(labels, samples_per_class=SAMPLES, rng=rng_for(0))


def made(labels: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    generator = Dirichlet(
        DirichletConfig(**options),
        num_classes=3,
        stream_dims=STREAM_DIMS,
        samples_per_class=SAMPLES,
    )
    features, weights, _ = generator(labels, drawn(labels), rng_for(1))
    return features, weights


@pytest.mark.parametrize("tie_streams", [False, True])
def test_features_are_equation_3_written_as_loops(tie_streams: bool) -> None:
    labels = torch.tensor([1, 2, 0, 1])
    sets = drawn(labels)

    features, weights = made(labels, tie_streams=tie_streams)

    for sample, group in enumerate(sets.groups.tolist()):
        for column, value in enumerate(features[sample].tolist()):
            stream = 0 if column < STREAM_DIMS[0] else 1
            expected = sum(
                weights[sample, stream, s].item() * sets.store[row, column].item()
                for s, row in enumerate(sets.rows[group].tolist())
            )
            assert value == pytest.approx(expected, abs=1e-5)


def test_streams_have_weights_of_their_own_unless_they_are_tied() -> None:
    labels = torch.tensor([0, 1])

    own, tied = made(labels)[1], made(labels, tie_streams=True)[1]

    assert own.shape == tied.shape == (2, 2, SAMPLES)
    assert not torch.equal(own[:, 0], own[:, 1])
    assert torch.equal(tied[:, 0], tied[:, 1])


@pytest.mark.parametrize(("label", "count"), [(0, 5), (2, 3)])
@pytest.mark.parametrize("concentration", [0.05, 0.5, 1.0, 4.0, 100.0])
def test_weights_have_the_moments_of_a_dirichlet_distribution(
    concentration: float, label: int, count: int
) -> None:
    weights = made(torch.full((20_000,), label), concentration=concentration)[1].double()

    used = weights[:, :, :count].flatten(0, 1)  # two streams, independent
    assert not weights[:, :, count:].any()
    total = concentration * count
    variance = (count - 1) / count**2 / (total + 1)
    covariance = (torch.eye(count) * count - 1) / (count - 1) * variance
    deviation = variance**0.5 / len(used) ** 0.5
    assert used.mean(0).tolist() == pytest.approx([1 / count] * count, abs=5 * deviation)
    assert torch.allclose(used.T.cov(), covariance.double(), atol=0.05 * variance)
    streams = weights[:, 0, 0] - 1 / count, weights[:, 1, 0] - 1 / count
    assert (streams[0] * streams[1]).mean().abs() < 5 * variance / 20_000**0.5


@pytest.mark.parametrize("concentration", [0.02, 0.7, 1.0, 3.5])
def test_variates_have_the_moments_of_a_gamma_distribution(concentration: float) -> None:
    variates = log_gamma_variates(concentration, (400, 1000), rng_for(0)).exp().flatten()

    expected = 1.0
    for power in range(1, 4):  # E[x^n] = a (a + 1) ... (a + n - 1)
        expected *= concentration + power - 1
        samples = variates**power
        error = 5 * samples.std().item() / len(samples) ** 0.5
        assert samples.mean().item() == pytest.approx(expected, abs=error)


def test_one_is_the_same_as_exponential_variates() -> None:
    variates = log_gamma_variates(1.0, (20_000,), rng_for(0)).exp().sort().values

    cumulated = 1 - (-variates).exp()
    uniform = torch.linspace(0, 1, len(variates), dtype=torch.float64)
    assert (cumulated - uniform).abs().max() < 1.95 / len(variates) ** 0.5  # Kolmogorov-Smirnov


def test_a_tiny_concentration_takes_one_source_whole() -> None:
    weights = made(torch.tensor([0, 1, 2] * 50), concentration=1e-5)[1]

    assert torch.allclose(weights.amax(2), torch.ones(()), atol=1e-6)
    assert len(weights[:, 0].argmax(1).unique()) == SAMPLES


def test_a_huge_concentration_gives_the_mean() -> None:
    weights = made(torch.tensor([0, 1]), concentration=1e6)[1]

    assert torch.allclose(weights, torch.tensor(1 / SAMPLES), atol=2e-3)


@pytest.mark.parametrize("concentration", [0.0, -1.0, float("nan"), float("inf")])
def test_the_concentration_is_a_positive_number(concentration: float) -> None:
    with pytest.raises(ValidationError, match="concentration"):
        DirichletConfig(concentration=concentration)
