"""phase2-step and phase2-memory: one step of Algorithm 1, grouped against gathered.

Both forms do the same step, with the same players and updates; only draw and convex combination
differ. In the grouped form all samples of a class share one drawn set, and each class is a matrix
product. In the gathered form each sample draws N_s features of its own and copies them,
(B, N_s, F), as one would write it down first; it draws with replacement, the cheapest way.
"""

import json
import sys
from functools import partial

import torch
from measure import Benchmark, extra_mebibytes, in_own_process, seconds_in_turn
from torch import Tensor

from fdmo_core import (
    ArtificialFeatures,
    DrawnFeatures,
    FeatureBatch,
    FeatureGenerator,
    HeldOut,
    Phase2Parts,
)
from fdmo_core.classifier import LinearClassifier
from fdmo_core.randomness import rng_for, seeded
from fdmo_plugins.convexgan.generator import ConvexGan
from fdmo_plugins.dictionaries.memory import MemoryDictionary, MemoryDictionaryConfig
from fdmo_plugins.losses.cross_entropy import CrossEntropyLoss, CrossEntropyLossConfig
from fdmo_plugins.rebalancers.adversarial import AdversarialConfig, AdversarialRebalancer

NUM_CLASSES, STREAM_DIMS, BATCH, SAMPLES_PER_CLASS = 50, (2048, 2048), 256, 100
ROWS_PER_CLASS = 500


class GatheredConvexGan(ConvexGan):
    """The same generator, but every sample draws and gathers features of its own."""

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return artificial features; see :meth:`ConvexGan.forward`."""
        noise = torch.randn(len(labels), self.config.noise_dim, generator=rng)
        logits = self.network.last(self.network.encode(noise, labels))
        weights = logits.unflatten(1, (-1, self.samples_per_class)).softmax(dim=2)
        own = torch.randint(ROWS_PER_CLASS, weights[:, 0].shape, generator=rng)
        gathered = drawn.store[labels[:, None] * ROWS_PER_CLASS + own]  # (B, S, F)
        streams = gathered.split(self.stream_dims, dim=2)
        parts = [
            torch.einsum("bs,bsd->bd", weights[:, index], one) for index, one in enumerate(streams)
        ]
        return ArtificialFeatures(torch.cat(parts, dim=1), weights)


def make_rebalancer(generator: type[FeatureGenerator]) -> AdversarialRebalancer:
    """Return a rebalancer of the paper's size on random features."""
    rng = rng_for(0, "benchmark")
    labels = torch.arange(NUM_CLASSES).repeat_interleave(ROWS_PER_CLASS)
    features = torch.rand(len(labels), sum(STREAM_DIMS), generator=rng)
    dictionary = MemoryDictionary(
        MemoryDictionaryConfig(), num_classes=NUM_CLASSES, stream_dims=STREAM_DIMS, seed=0
    )
    dictionary.build([FeatureBatch(features, labels, torch.arange(len(labels)))])
    counts = torch.arange(NUM_CLASSES, 0, -1) * 100
    classifier = LinearClassifier(sum(STREAM_DIMS), NUM_CLASSES)
    parts = Phase2Parts(
        classifier=classifier,
        dictionary=dictionary,
        class_counts=counts,
        make_generator=lambda samples: generator(
            generator.config_class(),
            num_classes=NUM_CLASSES,
            stream_dims=STREAM_DIMS,
            samples_per_class=samples,
        ),
        loss=CrossEntropyLoss(CrossEntropyLossConfig(), class_counts=counts),
        held_out=lambda source: HeldOut(features, classifier(features), labels),
        rng=rng,
    )
    config = AdversarialConfig(batch_size=BATCH, samples_per_class=SAMPLES_PER_CLASS)
    with seeded(0, "benchmark"):
        return AdversarialRebalancer(config, parts=parts)


def five_steps(rebalancer: AdversarialRebalancer) -> None:
    """Do a whole round: the discriminator learns in one of five steps."""
    for index in range(5):
        rebalancer.step(index, rng_for(0, index))


FORMS = {"grouped": ConvexGan, "gathered": GatheredConvexGan}


def extra_memory(form: str) -> float:
    """Return the MiB that five steps need beyond weights, gradients and optimizer states."""
    rebalancer = make_rebalancer(FORMS[form])
    five_steps(rebalancer)  # gradients and optimizer states exist from here on
    return extra_mebibytes(partial(five_steps, rebalancer))


def benchmarks() -> list[Benchmark]:
    """Return both lines."""
    ours, baseline = (partial(five_steps, make_rebalancer(one)) for one in FORMS.values())
    times = seconds_in_turn(ours, baseline, rounds=3)
    memory = [in_own_process(__file__, form) for form in FORMS]
    return [
        Benchmark("phase2-step", times[0] / 5, times[1] / 5, "seconds a step"),
        Benchmark("phase2-memory", memory[0], memory[1], "MiB beyond the state"),
    ]


if __name__ == "__main__":
    print(json.dumps(extra_memory(sys.argv[1])))
