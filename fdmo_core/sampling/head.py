"""Phase 1 where the features are given: a linear head, and what it says of rows it never saw."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdmo_core.classifier import LinearClassifier
from fdmo_core.interfaces import HeldOut, LabelledFeatures
from fdmo_core.randomness import seeded

MAX_ITERATIONS = 100
PART = 512  # rows at a time, so that their deviations need little memory
SMALL_SLOPE = 1e-5  # the largest one at which the minimum is taken as found
HISTORY = 10  # pairs of steps that L-BFGS remembers


def fit_head(rows: LabelledFeatures, num_classes: int, *, penalty: float) -> LinearClassifier:
    """Return the linear classifier of least cross-entropy and squared weights.

    It minimises ``sum_i -log p(y_i | x_i) + penalty / 2 * |W|^2`` from zero by L-BFGS over all
    rows at once: multinomial logistic regression, where ``1 / penalty`` is scikit-learn's C.
    Nothing is drawn.

    Args:
        rows: Training rows.
        num_classes: C; a class may be absent.
        penalty: Above 0; the bias has none.
    """
    features, labels = rows
    head = _zero_head(features, num_classes)
    optimizer = torch.optim.LBFGS(
        head.parameters(),
        max_iter=MAX_ITERATIONS,
        history_size=HISTORY,
        tolerance_grad=SMALL_SLOPE,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        cost = F.cross_entropy(head(features), labels)
        cost = cost + penalty / (2 * len(labels)) * head.weight.square().sum()
        cost.backward()
        return cost

    optimizer.step(objective)
    return head


@torch.no_grad()
def nearest_mean_head(rows: LabelledFeatures, num_classes: int) -> LinearClassifier:
    """Return the linear classifier that finds the nearest class mean; one pass, no training.

    Its logits are those of Gaussian classes of equal size with one common, spherical variance:
    ``(x . m_c - |m_c|^2 / 2) / v``, with v the mean squared deviation of a feature from the mean
    of its class.

    Args:
        rows: Training rows; every class has one.
        num_classes: C.
    """
    features, labels = rows
    counts = labels.bincount(minlength=num_classes).unsqueeze(1)  # (C, 1)
    sums = features.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)
    means = sums / counts
    squares = torch.stack(
        [
            torch.linalg.vector_norm(part - means.index_select(0, own)).square()
            for part, own in zip(features.split(PART), labels.split(PART), strict=True)
        ]
    )
    variance = (squares.sum() / features.numel()).clamp(min=torch.finfo(torch.float32).eps)
    head = _zero_head(features, num_classes)
    head.weight.copy_(means / variance)
    head.bias.copy_(means.square().sum(dim=1) / (-2 * variance))
    return head


@torch.no_grad()
def _zero_head(features: Tensor, num_classes: int) -> LinearClassifier:
    with seeded(0, "head"):  # a layer draws when it is made, from what belongs to the user
        head = LinearClassifier(features.shape[1], num_classes).to(features.device)
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    return head


@torch.no_grad()
def out_of_fold(
    rows: LabelledFeatures, folds: Tensor, num_classes: int, *, penalty: float
) -> HeldOut:
    """Return the training rows with the scores of heads that were each fitted without them.

    A class whose rows are all in one fold has no weight in that fold's head.

    Args:
        rows: Training rows.
        folds: Which part each row is in. Shape ``(N,)``, int64.
        num_classes: C.
        penalty: See :func:`fit_head`.
    """
    features, labels = rows
    logits = features.new_empty(len(labels), num_classes)
    for fold in folds.unique().tolist():
        out = (folds == fold).to(features.device)
        with torch.enable_grad():
            head = fit_head(
                LabelledFeatures(features[~out], labels[~out]), num_classes, penalty=penalty
            )
        logits[out] = head(features[out])
    return HeldOut(features, logits, labels)


def validation_rows(labels: Tensor, fraction: float, rng: torch.Generator) -> Tensor:
    """Return which rows are set aside: of each class the same share, rounded down.

    Args:
        labels: Shape ``(N,)``, int64.
        fraction: In [0, 1).
        rng: Source of randomness, on the CPU.

    Returns:
        Shape ``(N,)``, bool.
    """
    chosen = torch.zeros_like(labels, dtype=torch.bool)
    for label in labels.unique().tolist():
        own = torch.nonzero(labels == label).flatten()
        own = own[torch.randperm(len(own), generator=rng)]
        chosen[own[: int(fraction * len(own))]] = True
    return chosen
