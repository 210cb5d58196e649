import json
import signal
from pathlib import Path
from typing import Any

import pytest

from fdmo_core.errors import RunFolderError, TrainingError
from fdmo_core.journal import Journal, Progress
from fdmo_core.stopping import Interrupted, StopRequest


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def without_time(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != "time"}


def test_a_step_is_a_line_in_the_log(tmp_path: Path) -> None:
    with Journal(tmp_path / "log.jsonl") as journal:
        journal.step("phase1", 3, 10, {"main": 0.5, "sum": 1.25})

    (line,) = lines(tmp_path / "log.jsonl")
    assert without_time(line) == {
        "phase": "phase1",
        "step": 3,
        "of": 10,
        "main": 0.5,
        "sum": 1.25,
    }
    assert line["time"] == pytest.approx((tmp_path / "log.jsonl").stat().st_mtime, abs=5)


def test_a_step_is_shown_as_done() -> None:
    shown: list[Progress] = []

    Journal(show=shown.append).step("phase2", 0, 4, {"real": 2.0})

    assert shown == [Progress("phase2", 1, 4, {"real": 2.0})]


def test_progress_without_terms_is_shown_and_not_logged(tmp_path: Path) -> None:
    shown: list[Progress] = []

    with Journal(tmp_path / "log.jsonl", show=shown.append) as journal:
        journal.progress("images", 64, 80)

    assert shown == [Progress("images", 64, 80, {})]
    assert lines(tmp_path / "log.jsonl") == []


def test_a_notice_is_logged_and_said(tmp_path: Path) -> None:
    said: list[str] = []

    with Journal(tmp_path / "log.jsonl", say=said.append) as journal:
        journal.notice("The gar\u00e7on has no landmarks.")

    assert said == ["The gar\u00e7on has no landmarks."]
    assert [without_time(line) for line in lines(tmp_path / "log.jsonl")] == [
        {"notice": "The gar\u00e7on has no landmarks."}
    ]


def test_lines_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    with Journal(tmp_path / "log.jsonl") as journal:
        journal.step("phase1", 0, 2, {})

        assert len(lines(tmp_path / "log.jsonl")) == 1


def test_a_run_that_goes_on_adds_to_its_log(tmp_path: Path) -> None:
    for index in range(2):
        with Journal(tmp_path / "log.jsonl") as journal:
            journal.step("phase1", index, 2, {})

    assert [line["step"] for line in lines(tmp_path / "log.jsonl")] == [0, 1]


@pytest.mark.parametrize("torn", ['{"time": 1, "no', "x" * 200_000, "\u00e7"])
def test_a_line_that_a_kill_cut_off_is_taken_out(tmp_path: Path, torn: str) -> None:
    with Journal(tmp_path / "log.jsonl") as journal:
        journal.step("phase1", 0, 2, {})
    with (tmp_path / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(torn)

    with Journal(tmp_path / "log.jsonl") as journal:
        journal.step("phase1", 1, 2, {})

    assert [line["step"] for line in lines(tmp_path / "log.jsonl")] == [0, 1]


def test_a_log_of_nothing_but_a_torn_line_is_empty(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"ti')

    with Journal(tmp_path / "log.jsonl"):
        pass

    assert (tmp_path / "log.jsonl").read_bytes() == b""


def test_progress_ends_a_run_that_is_asked_to_stop(tmp_path: Path) -> None:
    stop, shown = StopRequest(), list[Progress]()
    journal = Journal(show=shown.append, stop=stop)
    journal.progress("images", 1, 80)
    stop.receive(signal.SIGINT, None)

    with pytest.raises(Interrupted, match=r"Stopped by SIGINT at 2 of 80 of images\."):
        journal.progress("images", 2, 80)

    assert [one.done for one in shown] == [1, 2]


def test_a_step_is_recorded_whether_or_not_the_run_is_asked_to_stop(tmp_path: Path) -> None:
    stop = StopRequest()
    stop.receive(signal.SIGINT, None)

    with Journal(tmp_path / "log.jsonl", stop=stop) as journal:
        journal.step("phase1", 0, 2, {})

    assert len(lines(tmp_path / "log.jsonl")) == 1


def test_a_journal_without_a_path_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with Journal() as journal:
        journal.step("phase1", 0, 2, {})
        journal.notice("Something.")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_message() -> None:
    with pytest.raises(RunFolderError) as caught, Journal(Path("/dev/full")) as journal:
        journal.step("phase1", 0, 2, {"main": 0.5})

    assert str(caught.value) == (
        "Cannot write /dev/full: No space left on device. Expected a writable folder with enough "
        "free space. Free some space or choose another folder with --out."
    )


def test_a_step_that_diverged_stops_the_run_and_names_the_term(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "log.jsonl") as journal,
        pytest.raises(TrainingError, match=r"Step 3 of phase1 diverged: main is nan\. Expected"),
    ):
        journal.step("phase1", 3, 5, {"sum": 1.0, "main": float("nan")})

    assert (tmp_path / "log.jsonl").read_text() == ""
