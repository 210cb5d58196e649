import pytest
import torch

from fdmo_core import ArtificialFeatures
from fdmo_core.randomness import rng_for
from fdmo_core.testing.toys import STREAM_DIMS, toy_dictionary
from fdmo_plugins.oversamplers.random_copies import RandomCopies, RandomCopiesConfig

DICTIONARY = toy_dictionary((20, 9, 3))


def made(labels: torch.Tensor) -> ArtificialFeatures:
    generator = RandomCopies(
        RandomCopiesConfig(), num_classes=3, stream_dims=STREAM_DIMS, samples_per_class=5
    )
    drawn = DICTIONARY.draw(labels, samples_per_class=5, rng=rng_for(0))
    artificial: ArtificialFeatures = generator(labels, drawn, rng_for(1))
    return artificial


def test_a_feature_is_the_row_that_it_names_bit_for_bit() -> None:
    labels = torch.tensor([1, 2, 0, 1, 2])

    features, weights, rows = made(labels)

    assert rows is not None
    assert torch.equal(features, DICTIONARY.store.features[rows.squeeze(1)])
    assert torch.equal(DICTIONARY.store.labels[rows.squeeze(1)], labels)
    assert weights is not None
    assert weights.tolist() == [[[1.0], [1.0]]] * 5


@pytest.mark.parametrize(("label", "count"), [(0, 5), (2, 3)])
def test_the_drawn_rows_and_no_others_are_copied_with_equal_chances(label: int, count: int) -> None:
    labels = torch.full((6000,), label)

    rows = made(labels).rows

    drawn = DICTIONARY.draw(labels, samples_per_class=5, rng=rng_for(0))
    assert rows is not None
    used, counts = rows.unique(return_counts=True)
    assert used.tolist() == sorted(drawn.rows[0, :count].tolist())
    expected = 6000 / count
    assert counts.tolist() == pytest.approx([expected] * count, abs=5 * expected**0.5)
