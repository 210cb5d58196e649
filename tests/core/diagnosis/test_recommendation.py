"""What is recommended for which figures."""

import pytest
import torch

from fdmo_core.diagnosis.gains import Gain
from fdmo_core.diagnosis.prior import describe_prior
from fdmo_core.diagnosis.recommendation import Recommendation, recommend
from fdmo_core.diagnosis.remedies import Remedy
from fdmo_core.diagnosis.separability import Separability

NAMES = ("coat", "scarf", "Kimono")
WIN, TIE, LOSS = (0.02, 0.06), (-0.01, 0.03), (-0.05, -0.01)


def gain(interval: tuple[float, float]) -> Gain:
    middle = sum(interval) / 2
    return Gain(middle, interval, middle, interval)


def remedies(
    correction: tuple[float, float],
    oversampling: tuple[float, float],
    over: tuple[float, float],
) -> list[Remedy]:
    return [
        Remedy("prior correction", "a.b = 1", gain(correction), None),
        Remedy("oversampling", "c.d = 2", gain(oversampling), gain(over)),
    ]


def recommended(
    tried: list[Remedy],
    *,
    counts: tuple[int, ...] = (100, 50, 10),
    validation: tuple[int, ...] = (20, 20, 20),
    recalls: tuple[float, float] = (0.8, 0.8),
) -> Recommendation:
    pair = (
        torch.tensor([0.9, 0.9, recalls[0]], dtype=torch.float64),
        torch.tensor([0.9, 0.9, recalls[1]], dtype=torch.float64),
    )
    return recommend(
        NAMES,
        describe_prior(torch.tensor(counts)),
        torch.tensor(validation),
        Separability(pair, pair, pair),
        tried,
    )


def test_prior_correction_is_preferred_to_what_is_not_told_apart_from_it() -> None:
    assert recommended(remedies(WIN, (0.03, 0.07), TIE)).verdict == (
        "Use prior correction: set a.b = 1. Nothing that trains the classifier again is told "
        "apart as better, and it costs none."
    )


def test_what_is_better_than_prior_correction_is_recommended() -> None:
    assert recommended(remedies(WIN, (0.05, 0.09), WIN)).verdict == (
        "Use oversampling: set c.d = 2. It is better than prior correction by an interval above "
        "zero."
    )


def test_what_alone_helps_is_recommended() -> None:
    assert recommended(remedies(TIE, WIN, TIE)).verdict == (
        "Use oversampling: set c.d = 2. It is the only kind of remedy that is told apart from "
        "phase 1."
    )


def test_what_beats_prior_correction_but_not_phase_1_is_not_recommended() -> None:
    verdict = recommended(remedies(LOSS, TIE, WIN)).verdict

    assert verdict.startswith("No remedy is told apart from phase 1 on validation; ")


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ((100, 50, 10), "the validation split may be too small"),
        ((100, 90, 80), "the imbalance is mild"),
    ],
)
def test_no_help_has_a_likely_reason(counts: tuple[int, ...], reason: str) -> None:
    assert recommended(remedies(TIE, TIE, TIE), counts=counts).verdict == (
        f"No remedy is told apart from phase 1 on validation; {reason}. Keep phase 1's "
        f"classifier, or try again with more validation images."
    )


def test_classes_of_equal_size_need_nothing() -> None:
    assert recommended([], counts=(9, 9, 9)).verdict == (
        "All classes have equally many training images, so there is nothing to correct."
    )


def test_the_evidence_gives_the_figures_with_their_intervals() -> None:
    evidence = recommended(remedies(WIN, TIE, LOSS)).evidence

    assert evidence[0] == (
        "Training images per class differ by up to 10 times; 3 classes amount to 2.3 equal ones."
    )
    assert evidence[1:] == (
        "Prior correction gives +4.0 [+2.0, +6.0] points of ACSA on validation, +4.0 [+2.0, +6.0] "
        "of the geometric mean.",
        "Oversampling gives +1.0 [-1.0, +3.0] points of ACSA on validation, +1.0 [-1.0, +3.0] of "
        "the geometric mean; against prior correction -3.0 [-5.0, -1.0] of ACSA.",
    )


def test_training_images_known_by_heart_are_told_with_the_worst_class() -> None:
    evidence = recommended(remedies(WIN, TIE, TIE), recalls=(1.0, 0.25)).evidence

    assert evidence[-1].startswith(
        "Phase 1 knows its training images by heart: it recognises 93 % of them and 68 % of the "
        "validation images (means over classes), most so in class 'Kimono', 100 % and 25 %. Of the "
        "features themselves, nearest class means recognise 93 % and 68 %."
    )


def test_a_small_gap_is_not_worth_a_sentence() -> None:
    evidence = recommended(remedies(WIN, TIE, TIE), recalls=(0.9, 0.8)).evidence

    assert not any("by heart" in one for one in evidence)


def test_classes_with_few_validation_images_are_a_caution() -> None:
    assert recommended([], validation=(20, 9, 4)).cautions == (
        "You have only 4 in class 'Kimono', 9 in class 'scarf' as validation images: one of them "
        "is more than 10 points of its class's recall, and the intervals are too narrow.",
    )


def test_absent_classes_are_cautions() -> None:
    assert recommended([], counts=(9, 9, 0), validation=(20, 0, 20)).cautions == (
        "Class 'Kimono' has no training image, so no remedy can find it.",
        "No validation image of: scarf. No figure speaks of them.",
    )


def test_enough_images_need_no_caution() -> None:
    assert recommended([]).cautions == ()
