import json

import numpy as np
import pytest

from fdmo_core import data_report
from fdmo_core.data_report import FAULT_KINDS, DataReport, Fault, Faults


def test_faults_beyond_the_limit_are_counted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_report, "MAX_LISTED", 2)
    faults = Faults()

    for number in range(3):
        faults.add("unreadable", Fault([], f"{number}"))

    assert faults.counts["unreadable"] == 3
    assert [fault.reason for fault in faults.listed["unreadable"]] == ["0", "1"]


def test_errors_and_warnings_are_counted_apart() -> None:
    faults = Faults()
    for kind in FAULT_KINDS:
        faults.add(kind, Fault([], "One."))
    faults.add("repeated", Fault([], "Two."))

    assert faults.count(errors=True) == sum(one.is_error for one in FAULT_KINDS.values()) == 5
    assert faults.count(errors=False) == 7


def test_a_report_is_plain_data_with_everything() -> None:
    faults = Faults()
    faults.add("unreadable", Fault([("train", "a.jpg")], "Broken."))
    counts = {"train": np.array([6, 2]), "val": np.array([0, 1]), "test": np.array([1, 1])}
    report = DataReport(("x", "y"), counts, "abc", faults, {"train": ["a.jpg"]})

    content = json.loads(json.dumps(report.as_dict()))

    assert content["imbalance_ratio"] == 3
    assert (content["errors"], content["warnings"]) == (1, 0)
    assert content["counts"]["train"] == [6, 2]
    assert content["faults"]["unreadable"] == {
        "is_error": True,
        "count": 1,
        "listed": [{"where": [["train", "a.jpg"]], "reason": "Broken."}],
    }
    assert content["leave_out"] == {"train": ["a.jpg"]}
