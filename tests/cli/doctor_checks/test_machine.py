"""Space and threads, at their limits."""

import os
import shutil
from pathlib import Path

import pytest

from fdmo_cli.doctor_checks.machine import GIB, check_space, check_threads, check_waiting
from fdmo_export.threads import available_threads


@pytest.mark.parametrize(
    ("free", "status"),
    [(6.0, "ok"), (5.0, "ok"), (4.9, "warning"), (1.0, "warning"), (0.9, "problem")],
)
def test_little_space_is_a_warning_and_none_a_problem(
    free: float, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=int(free * GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    found = check_space(tmp_path)

    assert found.status == status
    assert found.found == f"{free:.1f} GiB free at {tmp_path}"
    assert bool(found.advice) == (status != "ok")


def test_a_folder_that_cannot_be_written_to_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)

    found = check_space(tmp_path)

    assert found.status == "problem"
    assert found.found.endswith(f" GiB free at {tmp_path}, but it cannot be written to")


def test_more_threads_than_processors_are_a_warning_with_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usable = available_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(usable + 1))

    found = check_threads()

    assert found.status == "warning"
    assert f"PyTorch starts {usable + 1} threads" in found.found
    assert found.advice == f"Set OMP_NUM_THREADS={usable}."


def test_no_more_threads_than_processors_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    usable = available_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(usable))

    found = check_threads()

    assert found.status == "ok"
    assert found.found == (
        f"{usable} of {os.cpu_count()} processors may be used; OMP_NUM_THREADS={usable}"
    )


@pytest.mark.parametrize(
    ("policy", "status"), [("ACTIVE", "warning"), ("active", "warning"), ("PASSIVE", "ok")]
)
def test_only_threads_that_spin_are_warned_of(
    policy: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)

    found = check_waiting()

    assert found.status == status
    assert found.found.startswith(f"OMP_WAIT_POLICY={policy}")


def test_without_a_policy_it_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)

    assert check_waiting().found.startswith("OMP_WAIT_POLICY is not set")
