"""Answers as JSON, CSV and text."""

import csv
import io
import json
from typing import Any

import numpy as np
import pytest

from fdmo_cli.prediction.lines import Format, Lines
from fdmo_export import Prediction

NAMES = ("shirt", 'a "wide" skirt', "dress")
ANSWER = Prediction(
    label=1,
    class_name=NAMES[1],
    probability=0.7,
    probabilities=np.array([0.1, 0.7, 0.2], dtype=np.float32),
    is_certain=True,
    landmarks=np.array([[1.5, 2.25], [3.1, 4]], dtype=np.float32),
    visibility=np.array([0.25, 1], dtype=np.float32),
)
FILES = ["a.jpg", 'li\nne\r, "quoted".jpg', "😀.jpg", "\udcff\udcfe.jpg"]


def lines(format: Format, *, top: int = 2, landmarks: bool = True) -> Lines:
    return Lines(format, top, NAMES, ("hem", "cuff") if landmarks else (), "f00d")


def without_landmarks() -> Prediction:
    return Prediction(
        ANSWER.label, ANSWER.class_name, ANSWER.probability, ANSWER.probabilities, False, None, None
    )


@pytest.mark.parametrize("file", FILES)
def test_json_is_one_line_with_the_best_classes_and_landmarks(file: str) -> None:
    text = lines("json").line(file, ANSWER)

    assert text.count("\n") == 1
    assert json.loads(text) == {
        "file": file,
        "class": NAMES[1],
        "probability": 0.7,
        "is_certain": True,
        "top": [
            {"class": NAMES[1], "probability": 0.7},
            {"class": "dress", "probability": 0.2},
        ],
        "landmarks": [
            {"name": "hem", "x": 1.5, "y": 2.25, "visibility": 0.25},
            {"name": "cuff", "x": 3.1, "y": 4.0, "visibility": 1.0},
        ],
        "model": "f00d",
    }


def test_without_a_landmark_head_there_are_no_landmarks() -> None:
    assert "landmarks" not in json.loads(
        lines("json", landmarks=False).line("a.jpg", without_landmarks())
    )


@pytest.mark.parametrize("file", FILES)
def test_csv_has_a_column_for_all_of_it(file: str) -> None:
    form = lines("csv")

    header, row = csv.reader(io.StringIO(form.header + form.line(file, ANSWER), newline=""))

    expected: dict[str, Any] = {
        "file": file,
        "class": NAMES[1],
        "probability": "0.7",
        "is_certain": "true",
        "class_2": "dress",
        "probability_2": "0.2",
        "hem x": "1.5",
        "hem y": "2.25",
        "hem visibility": "0.25",
        "cuff x": "3.1",
        "cuff y": "4.0",
        "cuff visibility": "1.0",
        "model": "f00d",
    }
    assert dict(zip(header, row, strict=True)) == expected


def test_one_class_needs_no_further_columns() -> None:
    form = lines("csv", top=1, landmarks=False)

    assert form.header == '"file","class","probability","is_certain","model"\n'
    assert form.line("a.jpg", without_landmarks()) == (
        '"a.jpg","a ""wide"" skirt",0.7,"false","f00d"\n'
    )


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("a b.jpg", "a b.jpg"),
        ("😀.jpg", "😀.jpg"),
        ("a\nb.jpg", "'a\\nb.jpg'"),
        ("\udcff.jpg", "'\\udcff.jpg'"),
        ("\x1b[2J.jpg", "'\\x1b[2J.jpg'"),
    ],
)
def test_text_for_a_person_stays_on_its_line(file: str, shown: str) -> None:
    form = lines("text")

    assert form.header == ""
    assert form.line(file, ANSWER) == f"{shown}\t{NAMES[1]}\t0.7000\n"


def test_probabilities_keep_the_digits_of_float32() -> None:
    tiny = np.array([1e-9, 1 - 1e-7, 0.1], dtype=np.float32)
    answer = Prediction(1, NAMES[1], float(tiny[1]), tiny, True, None, None)

    top = json.loads(lines("json", top=3).line("a.jpg", answer))["top"]

    assert [np.float32(one["probability"]) for one in top] == [tiny[1], tiny[2], tiny[0]]
    assert top[2]["probability"] == 1e-9
