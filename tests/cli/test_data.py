"""``fdmo data check`` and ``fdmo data lookalike``."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fdmo_cli.main import app

Command = Callable[..., subprocess.CompletedProcess[str]]

TOY = '''
from typing import Literal
from fdmo_core import Dataset, DatasetConfig, hookimpl

class Config(DatasetConfig):
    name: Literal["toy-shop"] = "toy-shop"
    root: str = ""

class ToyShop(Dataset):
    """Nothing but a look-alike."""
    config_class = Config

    def load(self):
        raise NotImplementedError

    @classmethod
    def write_lookalike(cls, folder, *, num_images, seed):
        (folder / "list.txt").write_text(f"{num_images} {seed}")

@hookimpl
def register_datasets(register):
    register(ToyShop)
'''


def test_good_images_pass_and_a_person_sees_counts(
    fdmo: Command, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_images(red=14, blue=7)

    result = fdmo("data", "check", folder, "--out", tmp_path / "report.json")

    assert result.returncode == 0, result.stderr
    words = [line.replace("│", " ").split() for line in result.stdout.splitlines()]
    assert ["blue", "5", "1", "1"] in words
    assert ["all", "15", "2", "4"] in words
    assert "Training images of a class: 5 to 10, imbalance ratio 2.0" in result.stdout
    assert "0 error(s), 0 warning(s)\nReport: " in result.stdout
    shown = [line.split("━")[0].strip() for line in result.stderr.splitlines() if "━" in line]
    assert shown == ["check train", "check val", "check test"]


def test_every_fault_is_found_and_the_exit_code_is_1(
    fdmo: Command, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_images(red=14, blue=7)
    for number in range(5):  # more than data.max_unreadable_share
        (folder / "red" / f"{number}.jpg").write_bytes(b"")
    (folder / "blue" / "1.jpg").write_bytes((folder / "red" / "9.jpg").read_bytes())

    result = fdmo("data", "check", folder, "--out", tmp_path / "report.json")

    report = json.loads((tmp_path / "report.json").read_text())
    assert result.returncode == 1
    assert report["faults"]["skipped"]["count"] == 5
    assert report["faults"]["two-labels"]["count"] == 1
    left_out = [source for sources in report["leave_out"].values() for source in sources]
    assert sorted(left_out) == ["blue/1.jpg", "red/9.jpg"]
    assert f"--set data.exclude={tmp_path / 'report.json'}" in result.stdout
    assert "Error" not in result.stderr


def test_warnings_leave_the_exit_code_at_0_and_json_is_alone_on_stdout(
    fdmo: Command, make_images: Callable[..., Path]
) -> None:
    folder = make_images(red=14, blue=7)
    (folder / "blue").rename(folder / "Red")

    result = fdmo("data", "check", folder, "--json")

    report = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert (report["errors"], report["warnings"]) == (0, 1)
    assert report["class_names"] == ["Red", "red"]


def test_a_table_is_checked_by_its_file_name(
    fdmo: Command, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_images(red=14, blue=7)
    lines = [f"{path.relative_to(folder)},{path.parent.name}" for path in folder.rglob("*.jpg")]
    (folder / "my list.csv").write_text("\n".join(["path,label", *lines, "red/none.jpg,red"]))

    result = fdmo("data", "check", "images/my list.csv", "--json", cwd=tmp_path)

    report = json.loads(result.stdout)
    assert sum(map(sum, report["counts"].values())) == 21
    assert [fault["reason"] for fault in report["faults"]["skipped"]["listed"]] == [
        "my list.csv line 23: 'red/none.jpg': There is no such file. Expected it below data.root."
    ]


def test_a_data_set_is_checked_by_its_name_and_settings(fdmo: Command) -> None:
    counts = ("largest_class=4", "imbalance_ratio=2", "val_per_class=1", "test_per_class=1")
    settings = [part for count in counts for part in ("--set", f"data.{count}")]

    result = fdmo("data", "check", "garments", "--json", *settings, "--set", "loading.workers=1")

    assert result.returncode == 0, result.stderr
    assert max(json.loads(result.stdout)["counts"]["train"]) == 4


def test_a_report_that_could_not_be_written_is_told_before_reading(
    fdmo: Command, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    result = fdmo("data", "check", make_images(red=4, blue=4), "--out", tmp_path / "no" / "r.json")

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: --out is {tmp_path / 'no' / 'r.json'}. Expected a file in a folder that exists. "
        f"Make the folder or choose another file.\n"
    )


@pytest.fixture
def toy_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed plugin with a data set that can draw a look-alike."""
    plugin = tmp_path / "plugin"
    info = plugin / "fdmo_toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fdmo-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fdmo]\ntoy = fdmo_toy_shop\n")
    (plugin / "fdmo_toy_shop.py").write_text(TOY)
    monkeypatch.syspath_prepend(plugin)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("toy_shop")
def test_a_lookalike_is_drawn_and_the_next_command_printed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    results = [
        CliRunner().invoke(
            app, ["data", "lookalike", "toy-shop", folder, "--images", "7", "--seed", "3"]
        )
        for folder in ("new/one", "empty")
    ]

    assert (tmp_path / "new/one/list.txt").read_text() == "7 3"
    assert (tmp_path / "empty/list.txt").read_text() == "7 3"
    assert results[0].stdout == (
        "Wrote 7 images to new/one\nNext: fdmo data check toy-shop --set 'data.root=\"new/one\"'\n"
    )


@pytest.mark.usefixtures("toy_shop")
def test_a_folder_with_something_in_it_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()

    result = CliRunner().invoke(app, ["data", "lookalike", "toy-shop", "full"])

    assert str(result.exception) == (
        "Cannot write to full: File exists. Expected a folder that is not there yet, or is empty. "
        "Choose another one."
    )
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_a_data_set_without_a_lookalike_leaves_no_folder(fdmo: Command, tmp_path: Path) -> None:
    result = fdmo("data", "lookalike", "garments", tmp_path / "out")

    assert result.returncode == 1
    assert result.stderr.startswith("Error: GarmentsDataset has no look-alike.")
    assert not (tmp_path / "out").exists()


def test_a_component_that_is_no_data_set_is_told(fdmo: Command, tmp_path: Path) -> None:
    result = fdmo("data", "lookalike", "ldam", tmp_path / "out")

    assert result.returncode == 1
    assert result.stderr.startswith("Error: Unknown dataset 'ldam'. Registered: ")
