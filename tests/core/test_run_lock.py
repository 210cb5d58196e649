"""The lock of a run folder, between real processes where it matters."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fdmo_core import run_lock
from fdmo_core.errors import RunFolderError
from fdmo_core.run_lock import LOCK_FILE, locked_run, read_owner, this_process

HOLD = """
import sys
from pathlib import Path
from fdmo_core.run_lock import locked_run

with locked_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
RACE = """
import sys
from pathlib import Path
from fdmo_core.errors import RunFolderError
from fdmo_core.run_lock import locked_run

sys.stdin.readline()
try:
    with locked_run(Path(sys.argv[1])):
        print("won", flush=True)
        sys.stdin.readline()
except RunFolderError:
    print("lost", flush=True)
"""


def start(script: str, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    print(file=process.stdin, flush=True)


def write_lock(folder: Path, **changes: Any) -> None:
    content = this_process()._asdict() | changes
    (folder / LOCK_FILE).write_text(json.dumps(content))


def test_the_lock_names_its_process_and_is_gone_afterwards(tmp_path: Path) -> None:
    with locked_run(tmp_path):
        owner = read_owner(tmp_path)
        assert owner is not None
        assert owner.pid == os.getpid()
        assert str(owner).startswith(f"process {os.getpid()} on ")

    assert read_owner(tmp_path) is None
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_run_that_another_process_writes_is_refused(tmp_path: Path) -> None:
    with start(HOLD, tmp_path) as other:
        assert answer(other) == "held"

        with pytest.raises(RunFolderError) as caught, locked_run(tmp_path):
            pass

        told = str(caught.value)
        assert told.startswith(f"{tmp_path} is being written by process {other.pid} on ")
        assert told.endswith(f"If that machine is gone, remove {tmp_path / LOCK_FILE}.")
        tell(other)
    with locked_run(tmp_path):
        pass


def test_the_lock_of_a_killed_process_does_not_count(tmp_path: Path) -> None:
    with start(HOLD, tmp_path) as other:
        assert answer(other) == "held"
        other.kill()
        other.wait()
        assert (tmp_path / LOCK_FILE).exists()

        with locked_run(tmp_path):
            assert read_owner(tmp_path) is not None


def test_of_several_processes_one_gets_the_run(tmp_path: Path) -> None:
    write_lock(tmp_path, pid=2**22 + 1)  # of a process that cannot be: all find it stale
    racers = [start(RACE, tmp_path) for _ in range(4)]

    for racer in racers:
        tell(racer)
    answers = [answer(racer) for racer in racers]
    for racer in racers:
        if racer.poll() is None:
            racer.communicate("\n")

    assert sorted(answers) == ["lost", "lost", "lost", "won"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"pid": 2**22 + 1}, id="no such process"),
        pytest.param({"started": 1}, id="the number went to another process"),
        pytest.param({"boot": "another"}, id="the system was started anew"),
    ],
)
def test_a_stale_lock_does_not_count(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_lock(tmp_path, **changes)

    assert read_owner(tmp_path) is None
    with locked_run(tmp_path):
        pass


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="this very process"),
        pytest.param({"host": "elsewhere", "pid": 2**22 + 1}, id="nobody knows"),
        pytest.param({"since": "1970-01-01 00:00:00"}, id="a clock that was set back"),
        pytest.param({"since": "2999-01-01 00:00:00"}, id="a clock that was set forth"),
    ],
)
def test_a_lock_counts_whatever_the_clock_says(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_lock(tmp_path, **changes)

    with pytest.raises(RunFolderError, match="is being written by process"), locked_run(tmp_path):
        pass


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff", b'{"host": 1, "pid": "x"}', b'{"host": "a", "pid": Infinity}'],
    ids=range(6),
)
def test_a_lock_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK_FILE).write_bytes(content)

    with pytest.raises(RunFolderError) as caught, locked_run(tmp_path):
        pass

    assert str(caught.value).endswith("If none does, remove the file.")
    assert (tmp_path / LOCK_FILE).read_bytes() == content


def test_a_folder_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="Cannot write"), locked_run(tmp_path / "none"):
        pass


def test_where_the_system_tells_no_start_a_live_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "_boot", lambda: "")
    monkeypatch.setattr(run_lock, "_started", lambda _: 0)
    write_lock(tmp_path)

    assert read_owner(tmp_path) is not None
    write_lock(tmp_path, pid=2**22 + 1)
    assert read_owner(tmp_path) is None


def test_an_error_inside_frees_the_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), locked_run(tmp_path):
        raise ValueError("inside")

    assert read_owner(tmp_path) is None
