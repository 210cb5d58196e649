"""The worst confusions."""

import torch

from fdmo_core.diagnosis.confusions import Confusion, top_confusions

MATRIX = torch.tensor([[90, 10, 0], [1, 4, 5], [0, 0, 0]])


def test_they_are_ordered_by_their_share_of_the_class() -> None:
    assert top_confusions(MATRIX, 10) == [
        Confusion(label=1, taken_for=2, num_images=5, share=0.5),
        Confusion(label=0, taken_for=1, num_images=10, share=0.1),
        Confusion(label=1, taken_for=0, num_images=1, share=0.1),
    ]


def test_only_so_many_are_returned() -> None:
    assert [one.num_images for one in top_confusions(MATRIX, 1)] == [5]


def test_a_perfect_classifier_has_none() -> None:
    assert top_confusions(torch.tensor([[5, 0], [0, 3]]), 10) == []
