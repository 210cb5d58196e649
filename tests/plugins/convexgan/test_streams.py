from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from fdmo_core import DrawnFeatures
from fdmo_core.randomness import rng_for
from fdmo_plugins.convexgan.streams import StreamsConfig, mix_streams, num_weight_vectors

STREAM_DIMS = (2, 1)


def drawn() -> DrawnFeatures:
    store = torch.randn(6, 3, generator=rng_for(0))
    rows, mask = torch.tensor([[4, 0], [3, 3]]), torch.tensor([[True, True], [True, False]])
    return DrawnFeatures(store, rows, mask, groups=torch.tensor([0, 1, 0]))


def mixed(scores: Tensor, seed: int = 0, **options: Any) -> tuple[Tensor, Tensor]:
    config = StreamsConfig.model_validate(options)
    made = mix_streams(scores, drawn(), config=config, stream_dims=STREAM_DIMS, rng=rng_for(seed))
    assert made.weights is not None
    return made.features, made.weights


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 2), ({"tie_streams": True}, 1), ({"artificial_streams": "shape"}, 1)],
)
def test_streams_need_a_weight_vector_each_unless_they_share_or_only_one_is_mixed(
    options: dict[str, Any], expected: int
) -> None:
    assert num_weight_vectors(StreamsConfig.model_validate(options), STREAM_DIMS) == expected


def test_each_stream_follows_its_own_scores() -> None:
    sure = torch.tensor([[[30.0, 0.0], [0.0, 30.0]]]).expand(3, 2, 2)

    features, _ = mixed(sure)

    store = drawn().store
    assert torch.allclose(features[0], torch.cat([store[4, :2], store[0, 2:]]))


def test_padding_gets_no_weight_whatever_its_score() -> None:
    features, weights = mixed(torch.tensor([[[0.0, 30.0]]]).expand(3, 1, 2), tie_streams=True)

    assert weights[1].tolist() == [[1, 0], [1, 0]]
    assert torch.equal(features[1], drawn().store[3])


@pytest.mark.parametrize(("streams", "kept"), [("texture", 1), ("shape", 0)])
def test_the_stream_that_is_not_artificial_takes_one_row_by_the_given_randomness(
    streams: str, kept: int
) -> None:
    choices = [
        mixed(torch.zeros(3, 1, 2), seed, artificial_streams=streams)[1][0] for seed in range(20)
    ]

    assert {tuple(one[kept].tolist()) for one in choices} == {(1, 0), (0, 1)}
    assert all(one[1 - kept].tolist() == [0.5, 0.5] for one in choices)


def test_streams_that_share_their_weights_are_both_artificial() -> None:
    with pytest.raises(ValidationError, match="'texture' has no meaning with tie_streams = true"):
        StreamsConfig(tie_streams=True, artificial_streams="texture")
