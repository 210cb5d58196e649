"""Runs seen from outside, on copies of one tiny run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fdmo_core.config import Run
from fdmo_core.errors import RunFolderError
from fdmo_core.manifest import read_manifest
from fdmo_core.run_listing import (
    Damage,
    borrowers,
    find_runs,
    is_run,
    remove_run,
    summarize_run,
    verify_run,
)
from fdmo_core.run_lock import locked_run
from fdmo_core.samples import Splits


@pytest.fixture(scope="module")
def finished(
    train_into: Callable[..., Any],
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    train_into(folder, tiny_run(), tiny_splits)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "copied"
    shutil.copytree(finished, folder)
    return folder


def test_runs_are_found_at_any_depth_but_not_in_runs_or_behind_links(copied: Path) -> None:
    root = copied.parent
    for place in ("table2/seed-0/ldam", "copied/export/inner", ".hidden/run"):
        shutil.copytree(copied, root / place, ignore=lambda *_: ["export"])
    (root / "link").symlink_to(root / "table2")
    (root / "loop").symlink_to(root)

    found = [path.relative_to(root).as_posix() for path in find_runs(root)]

    assert found == ["copied", "table2/seed-0/ldam"]
    assert list(find_runs(copied)) == [copied]


def test_a_finished_run_is_told_with_its_figures(copied: Path) -> None:
    summary = summarize_run(copied)

    after = json.loads((copied / "metrics.json").read_text())["test"]["after"]
    assert (summary.state, summary.detail, summary.data) == ("finished", "", "garments")
    assert summary.figures == {name: after[name] for name in ("acsa", "geometric_mean")}
    assert summary.bytes == sum(one.stat().st_size for one in copied.rglob("*") if one.is_file())
    assert summary.as_dict()["folder"] == str(copied)


def test_a_stopped_run_is_told_with_its_last_checkpoint(copied: Path) -> None:
    (copied / "metrics.json").unlink()
    (copied / "checkpoints" / "phase2.safetensors").unlink()

    summary = summarize_run(copied)

    assert summary.state == "stopped"
    assert summary.detail.startswith("phase1, step ")
    assert summary.figures == {}


def test_a_run_before_its_first_checkpoint_is_told(copied: Path) -> None:
    (copied / "metrics.json").unlink()
    shutil.rmtree(copied / "checkpoints")

    assert summarize_run(copied).detail == "before its first checkpoint"


def test_a_run_that_is_being_written_is_told_with_its_process(copied: Path) -> None:
    with locked_run(copied):
        summary = summarize_run(copied)

    assert summary.state == "running"
    assert summary.detail.startswith("process ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("environment.json", b"{}"),
        ("environment.json", b"\xff"),
        ("metrics.json", b"[]"),
        ("metrics.json", b"{"),
        ("lock.json", b""),
    ],
)
def test_damage_is_a_state_and_no_error(copied: Path, name: str, content: bytes) -> None:
    (copied / name).write_bytes(content)

    summary = summarize_run(copied)

    assert summary.state == "damaged"
    assert summary.detail


def test_a_whole_run_is_verified(copied: Path) -> None:
    assert verify_run(copied) == []


def test_every_listed_file_is_compared_with_its_digest(copied: Path) -> None:
    names = sorted(read_manifest(copied))

    for name in names:
        content = (copied / name).read_bytes()
        (copied / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert verify_run(copied) == [
        Damage(name, "its SHA-256 is another one") for name in sorted(names)
    ]


def test_missing_and_foreign_files_are_told(copied: Path) -> None:
    (copied / "model.json").unlink()
    (copied / "notes.txt").write_text("mine")
    (copied / "checkpoints" / "extra.safetensors").write_bytes(b"\x08")

    assert {one.name: one.problem for one in verify_run(copied)} == {
        "model.json": "it is missing",
        "notes.txt": "it is not in the manifest",
        "checkpoints/extra.safetensors": "it ends within its header",
    }


def test_checkpoints_of_a_stopped_run_are_verified_by_their_own_digest(copied: Path) -> None:
    file = copied / "checkpoints" / "phase1.previous.safetensors"
    shutil.copy(copied / "checkpoints" / "phase1.safetensors", file)
    assert verify_run(copied) == []

    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert verify_run(copied) == [
        Damage(f"checkpoints/{file.name}", "its digest is not that of its content")
    ]


def test_a_folder_that_is_no_run_is_neither_verified_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")

    assert not is_run(tmp_path)
    for action in (verify_run, remove_run):
        with pytest.raises(RunFolderError, match="is no run folder"):
            action(tmp_path)
    assert tmp_path.is_dir()


def lend(lender: Path, borrower: Path) -> None:
    shutil.copytree(lender, borrower)
    environment = json.loads((borrower / "environment.json").read_text())
    environment["phase1_from"] = str(lender.resolve())
    (borrower / "environment.json").write_text(json.dumps(environment))


def test_borrowers_are_found_beside_a_run_and_deeper(copied: Path) -> None:
    lend(copied, copied.with_name("borrower"))
    lend(copied, copied.parent / "deeper" / "borrower")
    shutil.copytree(copied, copied.with_name("broken"))
    (copied.with_name("broken") / "environment.json").write_text("{")

    assert borrowers(copied) == [copied.parent / "borrower", copied.parent / "deeper" / "borrower"]
    assert borrowers(copied.with_name("borrower")) == []


def test_a_run_is_removed_but_not_what_links_lead_to(copied: Path) -> None:
    treasure = copied.parent / "treasure"
    treasure.mkdir()
    (treasure / "gold").touch()
    (copied / "link").symlink_to(treasure)

    remove_run(copied)

    assert [path.name for path in copied.parent.iterdir()] == ["treasure"]
    assert (treasure / "gold").exists()


def test_a_run_behind_a_link_is_not_removed(copied: Path) -> None:
    link = copied.with_name("link")
    link.symlink_to(copied)

    with pytest.raises(RunFolderError, match="is a symbolic link"):
        remove_run(link)
    assert copied.is_dir()


def test_a_run_that_is_being_written_is_not_removed(copied: Path) -> None:
    with locked_run(copied), pytest.raises(RunFolderError, match="is being written by process"):
        remove_run(copied)
    assert verify_run(copied) == []
