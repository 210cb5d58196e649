"""Answers as lines: JSON, CSV, or text for a person."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fdmo_export.prediction import Prediction

Format = Literal["json", "csv", "text"]


@dataclass(frozen=True)
class Lines:
    """How an answer is written.

    Attributes:
        format: One of three.
        top: Classes of each answer, likeliest first.
        class_names: In label order.
        landmark_names: Those that the file locates; maybe none.
        model: What tells the file and its dials from others, part of each line for a machine.
    """

    format: Format
    top: int
    class_names: Sequence[str]
    landmark_names: Sequence[str]
    model: str

    @property
    def header(self) -> str:
        """What stands above the lines; "" for nothing."""
        if self.format != "csv":
            return ""
        columns = ["file", "class", "probability", "is_certain"]
        for place in range(2, self.top + 1):
            columns += [f"class_{place}", f"probability_{place}"]
        for name in self.landmark_names:
            columns += [f"{name} x", f"{name} y", f"{name} visibility"]
        return _row([*columns, "model"])

    @property
    def record_start(self) -> str:
        """What each line for a machine begins with."""
        return '"' if self.format == "csv" else '{"file": "'

    def line(self, file: str, answer: Prediction) -> str:
        """Return a file's answer with the line's end."""
        best = answer.probabilities.argsort(kind="stable")[::-1][: self.top]
        top = [(self.class_names[one], _number(answer.probabilities[one])) for one in best]
        if self.format == "text":
            shown = file if file.isprintable() else ascii(file)
            return f"{shown}\t{answer.class_name}\t{answer.probability:.4f}\n"
        landmarks = self._landmarks(answer)
        if self.format == "csv":
            (name, probability), *others = top
            cells = [file, name, probability, str(answer.is_certain).lower()]
            cells += [cell for pair in others for cell in pair]
            cells += [cell for one in landmarks for cell in one[1:]]
            return _row([*cells, self.model])
        document = {
            "file": file,
            "class": answer.class_name,
            "probability": _number(answer.probability),
            "is_certain": answer.is_certain,
            "top": [{"class": name, "probability": probability} for name, probability in top],
        }
        if landmarks:
            keys = ("name", "x", "y", "visibility")
            document["landmarks"] = [dict(zip(keys, one, strict=True)) for one in landmarks]
        return json.dumps({**document, "model": self.model}) + "\n"

    def _landmarks(self, answer: Prediction) -> list[tuple[str, float, float, float]]:
        if answer.landmarks is None or answer.visibility is None:
            return []
        found = zip(self.landmark_names, answer.landmarks, answer.visibility, strict=True)
        return [(name, _number(x), _number(y), _number(seen)) for name, (x, y), seen in found]


def _row(cells: Sequence[Any]) -> str:
    """Return a row of CSV; texts are quoted, so that a line's end in one is no end of the row."""
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerow(cells)
    return file.getvalue()


def _number(value: float) -> float:
    """Return a float32 with the digits that it has."""
    return float(f"{value:.7g}")
