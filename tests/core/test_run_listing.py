"""Runs seen from outside, on copies of one tiny run."""

import json
import shutil
from pathlib import Path

import pytest

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


def test_runs_are_found_at_any_depth_but_not_in_runs_or_behind_links(copied_run: Path) -> None:
    root = copied_run.parent
    for place in ("table2/seed-0/ldam", "copied/export/inner", ".hidden/run"):
        shutil.copytree(copied_run, root / place, ignore=lambda *_: ["export"])
    (root / "link").symlink_to(root / "table2")
    (root / "loop").symlink_to(root)

    found = [path.relative_to(root).as_posix() for path in find_runs(root)]

    assert found == ["copied", "table2/seed-0/ldam"]
    assert list(find_runs(copied_run)) == [copied_run]


def test_a_finished_run_is_told_with_its_figures(copied_run: Path) -> None:
    summary = summarize_run(copied_run)

    after = json.loads((copied_run / "metrics.json").read_text())["test"]["after"]
    assert (summary.state, summary.detail, summary.data) == ("finished", "", "garments")
    assert summary.figures == {name: after[name] for name in ("acsa", "geometric_mean")}
    assert summary.bytes == sum(
        one.stat().st_size for one in copied_run.rglob("*") if one.is_file()
    )
    assert summary.as_dict()["folder"] == str(copied_run)


def test_a_stopped_run_is_told_with_its_last_checkpoint(copied_run: Path) -> None:
    (copied_run / "metrics.json").unlink()
    (copied_run / "checkpoints" / "phase2.safetensors").unlink()

    summary = summarize_run(copied_run)

    assert summary.state == "stopped"
    assert summary.detail.startswith("phase1, step ")
    assert summary.figures == {}


def test_a_run_before_its_first_checkpoint_is_told(copied_run: Path) -> None:
    (copied_run / "metrics.json").unlink()
    shutil.rmtree(copied_run / "checkpoints")

    assert summarize_run(copied_run).detail == "before its first checkpoint"


def test_a_run_that_is_being_written_is_told_with_its_process(copied_run: Path) -> None:
    with locked_run(copied_run):
        summary = summarize_run(copied_run)

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
def test_damage_is_a_state_and_no_error(copied_run: Path, name: str, content: bytes) -> None:
    (copied_run / name).write_bytes(content)

    summary = summarize_run(copied_run)

    assert summary.state == "damaged"
    assert summary.detail


def test_a_whole_run_is_verified(copied_run: Path) -> None:
    assert verify_run(copied_run) == []


def test_every_listed_file_is_compared_with_its_digest(copied_run: Path) -> None:
    names = sorted(read_manifest(copied_run))

    for name in names:
        content = (copied_run / name).read_bytes()
        (copied_run / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert verify_run(copied_run) == [
        Damage(name, "its SHA-256 is another one") for name in sorted(names)
    ]


def test_missing_and_foreign_files_are_told(copied_run: Path) -> None:
    (copied_run / "model.json").unlink()
    (copied_run / "notes.txt").write_text("mine")
    (copied_run / "checkpoints" / "extra.safetensors").write_bytes(b"\x08")

    assert {one.name: one.problem for one in verify_run(copied_run)} == {
        "model.json": "it is missing",
        "notes.txt": "it is not in the manifest",
        "checkpoints/extra.safetensors": "it ends within its header",
    }


def test_checkpoints_of_a_stopped_run_are_verified_by_their_own_digest(copied_run: Path) -> None:
    file = copied_run / "checkpoints" / "phase1.previous.safetensors"
    shutil.copy(copied_run / "checkpoints" / "phase1.safetensors", file)
    assert verify_run(copied_run) == []

    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert verify_run(copied_run) == [
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


def test_borrowers_are_found_beside_a_run_and_deeper(copied_run: Path) -> None:
    lend(copied_run, copied_run.with_name("borrower"))
    lend(copied_run, copied_run.parent / "deeper" / "borrower")
    shutil.copytree(copied_run, copied_run.with_name("broken"))
    (copied_run.with_name("broken") / "environment.json").write_text("{")

    assert borrowers(copied_run) == [
        copied_run.parent / "borrower",
        copied_run.parent / "deeper" / "borrower",
    ]
    assert borrowers(copied_run.with_name("borrower")) == []


def test_a_run_is_removed_but_not_what_links_lead_to(copied_run: Path) -> None:
    treasure = copied_run.parent / "treasure"
    treasure.mkdir()
    (treasure / "gold").touch()
    (copied_run / "link").symlink_to(treasure)

    remove_run(copied_run)

    assert [path.name for path in copied_run.parent.iterdir()] == ["treasure"]
    assert (treasure / "gold").exists()


def test_a_run_behind_a_link_is_not_removed(copied_run: Path) -> None:
    link = copied_run.with_name("link")
    link.symlink_to(copied_run)

    with pytest.raises(RunFolderError, match="is a symbolic link"):
        remove_run(link)
    assert copied_run.is_dir()


def test_a_run_that_is_being_written_is_not_removed(copied_run: Path) -> None:
    with locked_run(copied_run), pytest.raises(RunFolderError, match="is being written by process"):
        remove_run(copied_run)
    assert verify_run(copied_run) == []
