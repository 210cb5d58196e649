"""A feature space of three classes, as phase 1 would have left it."""

import pytest
import torch

from fdmo_core.classifier import LinearClassifier
from fdmo_core.feature_space import FeatureSpace
from fdmo_core.interfaces import FeatureBatch, LabelledFeatures

COUNTS = (300, 60, 12)
STREAM_DIMS = (4, 4)


def rows(sizes: tuple[int, ...], seed: int) -> LabelledFeatures:
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    noise = torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(seed))
    return LabelledFeatures((1.2 * torch.eye(8)[labels] + noise).clamp_min(0), labels)


@pytest.fixture(scope="session")
def space() -> FeatureSpace:
    """Overlapping classes, with a classifier that was trained on them without a correction."""
    train, held_out = rows(COUNTS, seed=0), rows((40, 40, 8), seed=1)
    classifier = LinearClassifier(8, 3)
    torch.nn.init.zeros_(classifier.weight)
    torch.nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.LBFGS(classifier.parameters(), max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(classifier(train.features), train.labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return FeatureSpace(
        class_names=("coat", "scarf", "Kimono"),
        class_counts=torch.tensor(COUNTS),
        stream_dims=STREAM_DIMS,
        classifier=classifier,
        train=FeatureBatch(*train, torch.arange(sum(COUNTS))),
        splits={
            "val": held_out,
            "test": LabelledFeatures(torch.empty(0, 8), torch.empty(0).long()),
        },
    )
