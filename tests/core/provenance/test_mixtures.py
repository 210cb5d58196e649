"""Sources of artificial features, against plain sums."""

import math

import pytest
import torch

from fdmo_core.interfaces import ArtificialFeatures
from fdmo_core.provenance.mixtures import effective_sources, entropy, mixtures

STREAM_DIMS = (2, 3)


def made(weights: list[list[list[float]]], rows: list[list[int]]) -> ArtificialFeatures:
    features = torch.zeros(len(rows), sum(STREAM_DIMS))
    return ArtificialFeatures(features, torch.tensor(weights), torch.tensor(rows))


def test_sources_come_the_weightiest_first() -> None:
    found = mixtures(made([[[0.2, 0.7, 0.1], [0.4, 0.3, 0.3]]], [[5, 3, 8]]), STREAM_DIMS)

    assert found is not None
    assert found[0].rows.tolist() == [3, 5, 8]
    expected = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3]], dtype=torch.float64)
    assert torch.allclose(found[0].weights, expected)


def test_a_row_that_was_drawn_twice_is_one_source() -> None:
    found = mixtures(made([[[0.2, 0.5, 0.3], [0.1, 0.6, 0.3]]], [[4, 9, 4]]), STREAM_DIMS)

    assert found is not None
    assert found[0].rows.tolist() == [9, 4]
    expected = torch.tensor([[0.5, 0.5], [0.6, 0.4]], dtype=torch.float64)
    assert torch.allclose(found[0].weights, expected)


def test_padding_is_no_source_and_one_stream_s_source_is() -> None:
    found = mixtures(made([[[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]], [[4, 9, 7]]), STREAM_DIMS)

    assert found is not None
    assert found[0].rows.tolist() == [9, 4]


def test_weights_of_each_number_are_averaged_within_a_stream() -> None:
    weights = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(0)).softmax(dim=2)

    found = mixtures(
        ArtificialFeatures(torch.zeros(1, 5), weights, torch.arange(4).unsqueeze(0)), STREAM_DIMS
    )

    assert found is not None
    for place, row in enumerate(found[0].rows.tolist()):
        texture = float(weights[0, :2, row].sum()) / 2
        shape = float(weights[0, 2:, row].sum()) / 3
        assert found[0].weights[:, place].tolist() == pytest.approx([texture, shape])


def test_without_weights_or_rows_there_are_no_sources() -> None:
    features, weights = torch.zeros(2, 5), torch.ones(2, 2, 1)

    assert mixtures(ArtificialFeatures(features, None), STREAM_DIMS) is None
    assert mixtures(ArtificialFeatures(features, weights, None), STREAM_DIMS) is None


def test_entropy_and_effective_sources_are_their_sums() -> None:
    weights = torch.rand(3, 2, 6, generator=torch.Generator().manual_seed(0)).softmax(dim=2)

    for number in range(3):
        for stream in range(2):
            line = weights[number, stream].tolist()
            expected = -sum(one * math.log(one) for one in line)
            assert entropy(weights)[number, stream].item() == pytest.approx(expected, rel=1e-5)
            assert effective_sources(weights)[number, stream].item() == pytest.approx(
                math.exp(expected), rel=1e-5
            )


def test_a_copy_has_one_source_and_the_mean_has_all() -> None:
    weights = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])

    assert entropy(weights).tolist() == pytest.approx([0, math.log(4)])
    assert effective_sources(weights).tolist() == pytest.approx([1, 4])
