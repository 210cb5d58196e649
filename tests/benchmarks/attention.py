"""attention-step: one step of Algorithm 1 with a generator that sees what it mixes, or a blind one.

Both generators play the same game, at the sizes of phase2-step: B 256, N_s 100, two streams of
2048, 50 classes. The ratio is below 1 by what the sight costs.
"""

from functools import partial

from measure import Benchmark, seconds_in_turn
from phase2 import five_steps, make_rebalancer

from fdmo_plugins.convexgan.attention import AttentionGan
from fdmo_plugins.convexgan.generator import ConvexGan


def benchmarks() -> list[Benchmark]:
    """Return the line."""
    ours, baseline = (
        partial(five_steps, make_rebalancer(one)) for one in (AttentionGan, ConvexGan)
    )
    times = seconds_in_turn(ours, baseline, rounds=5)
    return [Benchmark("attention-step", times[0] / 5, times[1] / 5, "seconds a step")]
