import pytest
import torch
from torch import Tensor

from fdmo_core.combination import convex_combination, dense_combination
from fdmo_core.errors import ShapeError
from fdmo_core.interfaces import DrawnFeatures
from fdmo_core.randomness import rng_for

STREAM_DIMS = (3, 5)
SIZES = (6, 2, 9, 4)  # features in each drawn set that are no padding, out of 9


def drawn_sets(groups: list[int]) -> DrawnFeatures:
    rng = rng_for(0, "combination")
    store = torch.randn(30, sum(STREAM_DIMS), generator=rng, dtype=torch.float64)
    rows = torch.randint(30, (len(SIZES), max(SIZES)), generator=rng)
    mask = torch.arange(max(SIZES)) < torch.tensor(SIZES).unsqueeze(1)
    return DrawnFeatures(store, rows, mask, torch.tensor(groups))


def convex_weights(drawn: DrawnFeatures, num_streams: int) -> Tensor:
    size = (len(drawn.groups), num_streams, drawn.rows.shape[1])
    scores = torch.randn(size, generator=rng_for(1, "weights"), dtype=torch.float64)
    return scores.masked_fill(~drawn.mask[drawn.groups].unsqueeze(1), -torch.inf).softmax(dim=2)


def by_loops(weights: Tensor, drawn: DrawnFeatures, stream_dims: tuple[int, ...]) -> Tensor:
    """Return Eq. (3), one number at a time."""
    combined = torch.zeros(len(drawn.groups), sum(stream_dims), dtype=torch.float64)
    for sample, group in enumerate(drawn.groups.tolist()):
        feature = 0
        for stream, length in enumerate(stream_dims):
            for _ in range(length):
                for index, row in enumerate(drawn.rows[group].tolist()):
                    part = weights[sample, stream, index] * drawn.store[row, feature]
                    combined[sample, feature] += part
                feature += 1
    return combined


GROUPS = [
    pytest.param([0, 2, 1, 2, 0, 3, 2], id="mixed"),
    pytest.param([1, 1, 1, 1], id="classes-without-samples"),
    pytest.param([3, 2, 1, 0], id="one-each"),
    pytest.param([2], id="one-sample"),
]


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("stream_dims", [STREAM_DIMS, (8,), (1, 1, 6)])
def test_it_is_the_weighted_sum_of_eq_3(groups: list[int], stream_dims: tuple[int, ...]) -> None:
    drawn = drawn_sets(groups)
    weights = convex_weights(drawn, len(stream_dims))

    combined = convex_combination(weights, drawn, stream_dims)

    expected = by_loops(weights, drawn, stream_dims)
    torch.testing.assert_close(combined, expected, rtol=1e-12, atol=1e-12)  # order of summation


@pytest.mark.parametrize("stream_dims", [STREAM_DIMS, (8,)])
def test_a_batch_of_one_class_is_no_exception(stream_dims: tuple[int, ...]) -> None:
    several = drawn_sets([0, 0, 0])
    drawn = DrawnFeatures(several.store, several.rows[:1], several.mask[:1], several.groups)
    weights = convex_weights(drawn, len(stream_dims)).requires_grad_()

    combined = convex_combination(weights, drawn, stream_dims)

    expected = by_loops(weights.detach(), drawn, stream_dims)
    torch.testing.assert_close(combined, expected, rtol=1e-12, atol=1e-12)
    assert combined.requires_grad


@pytest.mark.parametrize("groups", GROUPS)
def test_its_gradient_is_that_of_the_gather_form(groups: list[int]) -> None:
    drawn = drawn_sets(groups)
    weights = convex_weights(drawn, 2).requires_grad_()
    slopes = torch.randn(len(groups), 8, generator=rng_for(2), dtype=torch.float64)

    (found,) = torch.autograd.grad(convex_combination(weights, drawn, STREAM_DIMS), weights, slopes)

    gathered = drawn.features()[drawn.groups].split(STREAM_DIMS, dim=2)  # (B, S, D) a stream
    pairs = zip(weights.unbind(1), gathered, strict=True)
    plain = torch.cat([torch.einsum("bs,bsd->bd", *pair) for pair in pairs], dim=1)
    (expected,) = torch.autograd.grad(plain, weights, slopes)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_its_gradient_is_the_numeric_one() -> None:
    drawn = drawn_sets([0, 2, 2])
    weights = convex_weights(drawn, 2).requires_grad_()

    assert torch.autograd.gradcheck(
        lambda one: convex_combination(one, drawn, STREAM_DIMS), (weights,)
    )


def test_what_padding_holds_does_not_matter() -> None:
    drawn = drawn_sets([0, 1, 3, 1])
    weights = convex_weights(drawn, 2)
    other_rows = drawn.rows.where(drawn.mask, 29 - drawn.rows)

    other = DrawnFeatures(drawn.store, other_rows, drawn.mask, drawn.groups)

    assert torch.equal(
        convex_combination(weights, drawn, STREAM_DIMS),
        convex_combination(weights, other, STREAM_DIMS),
    )


def test_it_stays_in_the_bounding_box_of_the_features_that_were_drawn() -> None:
    drawn = drawn_sets([0, 1, 2, 3, 1, 0])

    combined = convex_combination(convex_weights(drawn, 2), drawn, STREAM_DIMS)

    for sample, group in enumerate(drawn.groups.tolist()):
        own = drawn.features()[group][drawn.mask[group]]
        assert (combined[sample] >= own.min(dim=0).values - 1e-12).all()
        assert (combined[sample] <= own.max(dim=0).values + 1e-12).all()


def test_a_weight_of_one_gives_the_drawn_feature_itself() -> None:
    drawn = drawn_sets([2, 0])
    weights = torch.zeros(2, 2, 9, dtype=torch.float64)
    weights[0, 0, 4] = weights[0, 1, 7] = weights[1, :, 1] = 1.0

    combined = convex_combination(weights, drawn, STREAM_DIMS)

    features = drawn.features()
    assert torch.equal(combined[0], torch.cat([features[2, 4, :3], features[2, 7, 3:]]))
    assert torch.equal(combined[1], features[0, 1])


@pytest.mark.parametrize(
    ("shape", "stream_dims"),
    [((3, 2, 9), (3, 4)), ((3, 1, 9), (3, 5)), ((2, 2, 9), (3, 5)), ((3, 2, 8), (3, 5))],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], stream_dims: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        convex_combination(torch.zeros(shape), drawn_sets([0, 1, 2]), stream_dims)

    assert str(caught.value) == (
        f"Convex weights {shape} do not fit drawn features of length 8. Expected weights (B, T, S) "
        f"= (3, 2, 9) for streams {stream_dims} that sum to the feature's length. Give one weight "
        f"per sample, stream and drawn feature."
    )


@pytest.mark.parametrize("stream_dims", [STREAM_DIMS, (8,), (1, 1, 6)])
def test_sets_of_each_sample_s_own_are_mixed_by_the_same_equation(
    stream_dims: tuple[int, ...],
) -> None:
    drawn = drawn_sets([0, 2, 1, 2, 0])
    weights = convex_weights(drawn, len(stream_dims))

    combined = dense_combination(weights, drawn.features()[drawn.groups], stream_dims)

    expected = by_loops(weights, drawn, stream_dims)
    torch.testing.assert_close(combined, expected, rtol=1e-12, atol=1e-12)


def test_weights_for_each_number_of_a_feature_are_a_stream_for_each() -> None:
    drawn = drawn_sets([0, 2, 1])
    weights = convex_weights(drawn, sum(STREAM_DIMS))

    combined = dense_combination(weights, drawn.features()[drawn.groups], STREAM_DIMS)

    expected = by_loops(weights, drawn, (1,) * sum(STREAM_DIMS))
    torch.testing.assert_close(combined, expected, rtol=1e-12, atol=1e-12)
