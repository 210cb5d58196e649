"""The least-squares objectives of the game: Eq. (4) and Eq. (5)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_objective(real_scores: Tensor, artificial_scores: Tensor) -> Tensor:
    """Return what the discriminator minimises.

    Source: Eq. (5) of the paper.

    Args:
        real_scores: Scores of real features, to be 1. Shape ``(B,)``.
        artificial_scores: Scores of artificial features, to be 0. Shape ``(B',)``.

    Returns:
        Shape ``()``.
    """
    return (1 - real_scores).square().mean() + artificial_scores.square().mean()


def deception_objective(
    logits: Tensor, labels: Tensor, *, majority_class: int | None = None
) -> Tensor:
    """Return how far the classifier is from seeing every class but the true one.

    Source: Eq. (4) of the paper, first and second term, with the ones' complement of the label as
    the target (Algorithm 1, line 15). All terms are taken on the same sample; the paper's second
    expectation over class j is read as a slip.

    Departs from the paper: by default the majority class is among the targets, as in Algorithm 1
    and in GAMO (Mullick et al. 2019); Eq. (4) leaves it out, which would reward the generator for
    avoiding the border to the majority.

    Args:
        logits: Class scores of artificial features. Shape ``(B, C)``.
        labels: Classes that the features stand for. Shape ``(B,)``, int64.
        majority_class: A class to leave out of the targets, as Eq. (4) literally has it.

    Returns:
        Squared error summed over classes, mean over the batch. Shape ``()``.
    """
    probabilities = logits.float().softmax(dim=1)
    target = 1 - F.one_hot(labels, logits.shape[1]).to(probabilities.dtype)  # (B, C)
    errors = (target - probabilities).square()
    if majority_class is not None:
        classes = torch.arange(logits.shape[1], device=logits.device)
        errors = errors * (classes != majority_class)
    return errors.sum(dim=1).mean()


def realism_objective(scores: Tensor) -> Tensor:
    """Return how far artificial features are from passing as real.

    Source: Eq. (4) of the paper, third term without its weight.

    Args:
        scores: The discriminator's scores of artificial features. Shape ``(B,)``.

    Returns:
        Shape ``()``.
    """
    return (1 - scores).square().mean()
