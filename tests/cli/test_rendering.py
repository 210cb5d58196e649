"""Metrics as a table on stdout."""

from typing import Any

import pytest

from fdmo_cli.rendering import print_metrics

METRICS: dict[str, Any] = {
    "top1": 0.5,
    "top5": 0.75,
    "acsa": 0.25,
    "acsa_interval": [0.125, 0.375],
    "geometric_mean": 0.0,
    "many": 1.0,
    "medium": None,
    "zero_recall_classes": ["a", "b"],
}


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each row by the first one."""
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    return {first: others for first, *others in filter(None, cells)}


def test_each_figure_is_a_row_with_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics({"val": METRICS}, title="run")

    found = rows(capsys.readouterr().out)
    assert found["top-1"] == ["0.5000"]
    assert found["top-5"] == ["0.7500"]
    assert found["ACSA"] == ["0.2500 [0.125, 0.375]"]
    assert found["geometric mean"] == ["0.0000"]
    assert found["classes at zero"] == ["2"]


def test_a_figure_that_is_undefined_or_absent_is_a_dash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_metrics({"val": METRICS}, title="run")

    found = rows(capsys.readouterr().out)
    assert found["many-shot"] == ["1.0000"]
    assert found["medium-shot"] == ["-"]
    assert found["few-shot"] == ["-"]


def test_columns_stand_side_by_side_and_an_empty_split_has_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_metrics({"a": METRICS, "b": None, "c": METRICS | {"top1": 1.0}}, title="run")

    text = capsys.readouterr().out
    assert rows(text)["top-1"] == ["0.5000", "1.0000"]
    assert [cell.strip() for cell in text.splitlines()[2].split("┃")[2:-1]] == ["a", "c"]


def test_nothing_to_show_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics({"val": None}, title="run")

    assert rows(capsys.readouterr().out)["ACSA"] == []


def test_a_title_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics({"val": METRICS}, title="a[b][/i]")

    assert capsys.readouterr().out.startswith("a[b][/i] ")
