import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from fdmo_core.interfaces import LabelledFeatures
from fdmo_core.sampling.head import fit_head, nearest_mean_head, out_of_fold, validation_rows

LABELS = torch.tensor([0] * 30 + [1] * 12 + [2] * 5)


@pytest.fixture
def rows() -> LabelledFeatures:
    rng = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 4, generator=rng)
    return LabelledFeatures(centres[LABELS] + torch.randn(47, 4, generator=rng), LABELS)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 10.0])
def test_the_head_is_that_of_logistic_regression(rows: LabelledFeatures, penalty: float) -> None:
    head = fit_head(rows, 3, penalty=penalty)

    known = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=1000)
    known.fit(rows.features.double().numpy(), rows.labels.numpy())
    expected = torch.from_numpy(known.predict_proba(rows.features.double().numpy()))
    assert torch.allclose(head(rows.features).softmax(dim=1).double(), expected, atol=2e-3)


def test_the_head_draws_nothing(rows: LabelledFeatures) -> None:
    state = torch.get_rng_state()

    one, other = (fit_head(rows, 3, penalty=1.0) for _ in range(2))

    assert torch.equal(one.weight, other.weight)
    assert torch.equal(torch.get_rng_state(), state)


def gaussian_logits(rows: LabelledFeatures, feature: Tensor) -> list[float]:
    """Return -|x - m_c|^2 / 2v of each class, by loops."""
    means = [
        [float(column[rows.labels == label].mean()) for column in rows.features.T]
        for label in range(3)
    ]
    squares = [
        (float(number) - means[int(label)][place]) ** 2
        for row, label in zip(rows.features, rows.labels, strict=True)
        for place, number in enumerate(row)
    ]
    variance = sum(squares) / len(squares)
    return [
        -sum((float(x) - m) ** 2 for x, m in zip(feature, mean, strict=True)) / (2 * variance)
        for mean in means
    ]


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_the_nearest_mean_head_is_that_of_spherical_classes(
    rows: LabelledFeatures, offset: float
) -> None:
    moved = LabelledFeatures(rows.features + offset, rows.labels)

    log_shares = nearest_mean_head(moved, 3).double()(moved.features.double()).log_softmax(dim=1)

    for row in (0, 33, 46):
        logits = gaussian_logits(moved, moved.features[row])
        total = math.log(sum(math.exp(one) for one in logits))
        expected = torch.tensor([one - total for one in logits], dtype=torch.float64)
        assert torch.allclose(log_shares[row], expected, atol=1e-4 if offset == 0 else 0.2)


def test_features_without_variance_give_a_finite_head() -> None:
    head = nearest_mean_head(LabelledFeatures(torch.ones(47, 4), LABELS), 3)

    assert head.weight.isfinite().all()
    assert head.bias.isfinite().all()


def test_out_of_fold_scores_are_those_of_heads_without_the_fold(rows: LabelledFeatures) -> None:
    folds = torch.arange(47) % 3

    held = out_of_fold(rows, folds, 3, penalty=1.0)

    for fold in range(3):
        out = folds == fold
        head = fit_head(LabelledFeatures(rows.features[~out], rows.labels[~out]), 3, penalty=1.0)
        assert torch.allclose(held.logits[out], head(rows.features[out]))
    assert torch.equal(held.features, rows.features)
    assert torch.equal(held.labels, rows.labels)
    assert not held.logits.requires_grad


def test_a_class_whose_rows_are_all_left_out_has_a_score_all_the_same(
    rows: LabelledFeatures,
) -> None:
    held = out_of_fold(rows, (rows.labels == 2).long(), 3, penalty=1.0)

    assert held.logits.isfinite().all()


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.0, [0, 0, 0]), (0.25, [7, 3, 1]), (0.1, [3, 1, 0])]
)
def test_the_same_share_of_each_class_is_set_aside(fraction: float, expected: list[int]) -> None:
    chosen, other = (
        validation_rows(LABELS, fraction, torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )

    assert LABELS[chosen].bincount(minlength=3).tolist() == expected
    assert fraction == 0 or not torch.equal(chosen, other)
