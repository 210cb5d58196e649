"""Artificial features as text and as data."""

import pytest
import torch

from fdmo_cli.provenance.rendering import as_data, as_sum, print_figures, print_samples, sums_of
from fdmo_core.provenance.class_report import ClassReport, Figures
from fdmo_core.provenance.mixtures import Mixture

SOURCES = [f"img{row}" for row in range(20)]
FIGURES = Figures(12, 1, 0.5, 1.65, None, None, 0.01234, None)


def mixture(*streams: list[float]) -> Mixture:
    weights = torch.tensor(streams, dtype=torch.float64)
    return Mixture(torch.arange(weights.shape[1]) + 3, weights)


def report(mixtures: list[Mixture] | None) -> ClassReport:
    nothing = torch.empty(0, 2)
    return ClassReport(4, nothing, mixtures, nothing, nothing, FIGURES)


def test_a_sum_begins_with_the_largest_weight() -> None:
    assert as_sum([0.26, 0.41, 0.33], ["a", "b", "c"]) == "0.41 b + 0.33 c + 0.26 a"


def test_small_weights_are_summed_up_and_absent_ones_left_out() -> None:
    weights = [0.3, 0.2, 0.2, 0.1, 0.1, 0.06, 0.04, 0.0]

    text = as_sum(weights, list("abcdefgh"))

    assert text == "0.30 a + 0.20 b + 0.20 c + 0.10 d + 0.10 e + 2 more 0.10"


def test_streams_that_mix_alike_are_one_sum() -> None:
    assert sums_of(mixture([0.6, 0.4], [0.6, 0.4]), SOURCES) == {"": "0.60 img3 + 0.40 img4"}


def test_streams_that_mix_otherwise_have_a_sum_each_in_their_own_order() -> None:
    assert sums_of(mixture([0.6, 0.4], [0.1, 0.9]), SOURCES) == {
        "texture": "0.60 img3 + 0.40 img4",
        "shape": "0.90 img4 + 0.10 img3",
    }


def test_more_streams_are_numbered() -> None:
    found = sums_of(mixture([0.6, 0.4], [0.1, 0.9], [1.0, 0.0]), SOURCES)

    assert found["stream 3"] == "1.00 img3"


def test_only_so_many_features_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_samples("cape [x]", report([mixture([1.0]), mixture([1.0]), mixture([1.0])]), SOURCES, 2)

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "cape [x], artificial features:",
        "  1 1.00 img3",
        "  2 1.00 img3",
    ]


def test_a_generator_without_sources_is_said_to_name_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_samples("cape", report(None), SOURCES, 8)

    assert capsys.readouterr().out == "cape: the generator makes features without naming sources.\n"


def test_what_cannot_be_told_is_a_dash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    print_figures({"cape [x]": FIGURES})

    (line,) = (one for one in capsys.readouterr().out.splitlines() if "cape" in one)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["cape [x]", "12", "1", "0.50", "1.6", "-", "-", "0.0123", "-"]


def test_data_name_every_source_with_the_weights_of_all_streams() -> None:
    found = as_data(
        report([mixture([0.6, 0.4], [0.1, 0.9])]), SOURCES, [row + 100 for row in range(20)], 8
    )

    assert found["samples"] == [
        [
            {"source": "img3", "image": 103, "weights": [0.6, 0.1]},
            {"source": "img4", "image": 104, "weights": [0.4, 0.9]},
        ]
    ]
    assert found["figures"]["mmd"] == 0.01234
    assert as_data(report(None), SOURCES, [], 8)["samples"] is None
