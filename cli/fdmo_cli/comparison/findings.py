"""What a comparison finds, as data: figures, differences, ranks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

METRICS = ("acsa", "geometric_mean", "top1", "many", "medium", "few", "bottom_quarter", "ece")
RANKED_BY = "acsa"


@dataclass(frozen=True)
class Figure:
    """A metric of a method.

    Attributes:
        mean: Over the seeds.
        sd: Between seeds; None with one.
        low, high: Of the mean's interval: Student's over seeds, or with one seed that of the test
            images where there is one.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Gain:
    """The difference of a metric between a method and the baseline.

    Attributes:
        mean: Over the seeds that both have.
        low, high: Of Student's interval over seeds; None with one seed.
        bootstrap_low, bootstrap_high: Of the interval over resampled test images and seeds.
    """

    mean: float
    low: float | None
    high: float | None
    bootstrap_low: float
    bootstrap_high: float


@dataclass(frozen=True)
class Against:
    """A method beside the baseline.

    Attributes:
        seeds: That both have.
        gains: By metric.
        p_value: Of the difference in ACSA, over seeds and test images.
        p_holm: The same, adjusted for the number of methods.
        mcnemar: Of McNemar's test on all test images, whatever their class.
        mcnemar_holm: The same, adjusted.
        verdict: ``"better"``, ``"worse"`` or ``"indistinguishable"``.
        explanation: The verdict in a sentence.
    """

    seeds: tuple[int, ...]
    gains: Mapping[str, Gain]
    p_value: float
    p_holm: float
    mcnemar: float
    mcnemar_holm: float
    verdict: str
    explanation: str


@dataclass(frozen=True)
class Result:
    """One method.

    Attributes:
        method: Its name.
        family: Whose phase 1 it starts from.
        seeds: That are finished.
        figures: By metric; a group without a class is left out.
        recalls: By class that has a test image.
        seconds: Mean time of phase 2.
        against: None for the baseline.
    """

    method: str
    family: str
    seeds: tuple[int, ...]
    figures: Mapping[str, Figure]
    recalls: Mapping[str, Figure]
    seconds: float
    against: Against | None = None


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of the methods that all seeds finished.

    Attributes:
        methods: Best first.
        mean_ranks: In that order.
        p_value: Of Friedman's test.
        critical_difference: Nemenyi's.
        alike: Groups of methods that are not told apart.
    """

    methods: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    p_value: float
    critical_difference: float
    alike: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Comparison:
    """All that is reported.

    Attributes:
        baseline: What the others are compared with.
        seeds: That were asked for.
        confidence: Of all intervals.
        same_images: Whether all seeds are tested on the same images.
        class_names: In label order.
        train_counts, test_counts: Images per class; of the first seed, where they differ.
        results: By falling ACSA.
        ranks: None with one seed, or fewer than two methods that all seeds finished.
    """

    baseline: str
    seeds: tuple[int, ...]
    confidence: float
    same_images: bool
    class_names: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    results: tuple[Result, ...]
    ranks: Ranks | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)
