"""``fdmo compare``, with tiny networks, in real processes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
FDMO = Path(sys.executable).with_name("fdmo")
METHODS = ("real-only", "random", "convexgan-crossfitted")
TINY = (
    *("data.largest_class=12", "data.imbalance_ratio=4", "crossfit.folds=2"),
    *("data.val_per_class=2", "data.test_per_class=4"),
)


@pytest.fixture(scope="module")
def options(small: tuple[str, ...]) -> tuple[str, ...]:
    """What all commands have in common."""
    data = (part for setting in TINY for part in ("--set", setting))
    methods = ("--methods", ",".join(METHODS), "--jobs", "2", "--device", "cpu")
    return (*small, *data, *methods)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared") / "out"


@pytest.fixture(scope="module")
def compared(
    fdmo: Command, options: tuple[str, ...], out: Path
) -> subprocess.CompletedProcess[str]:
    """One comparison of three methods with two seeds; others look at it or repeat it."""
    result = fdmo("compare", *options, "--seeds", 2, "--out", out)
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def content(compared: subprocess.CompletedProcess[str], out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "comparison.json").read_text())
    return found


def finished(folder: Path) -> dict[str, float]:
    """Return when each cell was finished, by method and seed."""
    cells = (folder / "cells").glob("*/*/metrics.json")
    return {"/".join(path.parts[-3:-1]): path.stat().st_mtime for path in cells}


def test_each_method_and_seed_is_a_cell_and_phase_1_is_trained_once_a_seed(
    compared: subprocess.CompletedProcess[str], out: Path
) -> None:
    assert finished(out).keys() == {f"{name}/{seed}" for name in METHODS for seed in (0, 1)}
    assert sorted(path.name for path in (out / "spaces").iterdir()) == ["plain-0", "plain-1"]


def test_the_screen_shows_a_ranked_table_and_a_verdict_for_each_method(
    compared: subprocess.CompletedProcess[str],
) -> None:
    shown = compared.stdout

    for heading in ("ACSA", "GM", "few", "ECE", "p (Holm)", "McNemar (Holm)", "verdict"):
        assert heading in shown
    assert "Baseline: real-only" in shown
    assert "\nrandom: " in shown
    assert "updates the classifier 2 times over the dictionary's size, in batches of 256" in shown
    assert "Each seed is tested on images of its own." in shown


def test_files_are_written_for_machines_papers_and_people(
    compared: subprocess.CompletedProcess[str], out: Path
) -> None:
    written = {path.name for path in out.iterdir() if path.is_file()}

    assert written == {
        *(f"comparison.{kind}" for kind in ("csv", "json", "md", "tex")),
        *(f"{plot}.{kind}" for plot in ("recalls", "ranks") for kind in ("png", "svg")),
    }


def test_the_csv_file_holds_the_means_of_what_the_cells_measured(
    compared: subprocess.CompletedProcess[str], out: Path
) -> None:
    with (out / "comparison.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}

    assert rows.keys() == set(METHODS)
    for name, row in rows.items():
        cells = [out / "cells" / name / str(seed) / "metrics.json" for seed in (0, 1)]
        reports = [json.loads(path.read_text())["test"]["after"] for path in cells]
        for metric in ("acsa", "top1", "ece"):
            expected = sum(one[metric] for one in reports) / 2
            assert float(row[f"{metric}_mean"]) == pytest.approx(expected)
    assert rows["real-only"]["verdict"] == ""
    assert rows["random"]["verdict"] in ("better", "worse", "indistinguishable")


def test_the_json_file_holds_differences_tests_and_ranks(content: dict[str, Any]) -> None:
    by_name = {one["method"]: one for one in content["results"]}

    assert content["baseline"] == "real-only"
    assert by_name["real-only"]["against"] is None
    against = by_name["random"]["against"]
    assert against["gains"].keys() == {"acsa", "geometric_mean", "top1"}
    assert 0 <= against["p_value"] <= against["p_holm"] <= 1
    assert 0 <= against["mcnemar"] <= against["mcnemar_holm"] <= 1
    assert sorted(content["ranks"]["methods"]) == sorted(METHODS)
    assert content["failures"] == {}
    assert [one["figures"]["acsa"]["mean"] for one in content["results"]] == sorted(
        (one["figures"]["acsa"]["mean"] for one in content["results"]), reverse=True
    )


def test_a_difference_is_that_of_the_means(content: dict[str, Any]) -> None:
    by_name = {one["method"]: one for one in content["results"]}

    for one in content["results"]:
        if one["against"] is not None:
            own, base = (by_name[name]["figures"] for name in (one["method"], "real-only"))
            expected = own["acsa"]["mean"] - base["acsa"]["mean"]
            assert one["against"]["gains"]["acsa"]["mean"] == pytest.approx(expected)


def test_the_same_command_again_does_nothing_and_prints_the_same_json(
    fdmo: Command, options: tuple[str, ...], content: dict[str, Any], out: Path
) -> None:
    before = finished(out)

    result = fdmo("compare", *options, "--seeds", 2, "--out", out, "--json")

    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert json.loads(result.stdout) == content
    assert finished(out) == before


def test_changed_settings_are_refused(
    fdmo: Command, options: tuple[str, ...], content: dict[str, Any], out: Path
) -> None:
    changed = ("--set", "rebalancer.learning_rate=0.5")

    result = fdmo("compare", *options, "--seeds", 2, "--out", out, *changed)

    assert result.returncode == 1
    assert result.stderr.startswith("Error: Settings are not those that runs were begun with:\n")
    assert "rebalancer.learning_rate was 0.001, is 0.5" in result.stderr


def test_a_cell_that_fails_is_told_and_the_others_go_on(
    fdmo: Command, options: tuple[str, ...], tmp_path: Path
) -> None:
    diverging = ("--set", "generator.learning_rate=1e38", "--set", "rebalancer.batch_size=8")

    result = fdmo("compare", *options, "--seeds", 1, "--out", tmp_path, *diverging, "--no-plot")

    assert result.returncode == 1
    (told,) = (line for line in result.stderr.splitlines() if line.startswith("Error in "))
    assert told.startswith("Error in convexgan-crossfitted/0: ")
    assert "diverged" in told
    assert finished(tmp_path).keys() == {"real-only/0", "random/0"}
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert list(content["failures"]) == ["convexgan-crossfitted/0"]
    assert content["ranks"] is None
    assert not list(tmp_path.glob("*.png"))


def test_a_killed_command_goes_on_where_it_was(
    options: tuple[str, ...], out: Path, content: dict[str, Any], tmp_path: Path
) -> None:
    command = [str(FDMO), "compare", *options, "--seeds", "2", "--out", str(tmp_path), "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not finished(tmp_path):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = finished(tmp_path)

    again = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )

    assert again.returncode == 0, again.stderr
    assert finished(tmp_path).items() >= kept.items()
    found = json.loads(again.stdout)
    for one in (*found["results"], *content["results"]):
        del one["seconds"]
    assert found == content


def test_a_run_folder_lends_its_phase_1(
    fdmo: Command, small: tuple[str, ...], run_folder: Path, tmp_path: Path
) -> None:
    methods = ("--methods", "real-only,random", "--jobs", 1, "--device", "cpu")

    result = fdmo("compare", run_folder, *methods, "--out", tmp_path, "--json", "--no-plot")

    assert result.returncode == 0, result.stderr
    content = json.loads(result.stdout)
    assert content["seeds"] == [3]
    log = (tmp_path / "spaces" / "plain-3" / "log.jsonl").read_text()
    assert '"phase1"' not in log


def test_settings_are_tuned_on_validation_and_a_sweep_has_a_curve(
    fdmo: Command, options: tuple[str, ...], tmp_path: Path
) -> None:
    asked = ("--tune", 2, "--sweep", "rebalancer.samples_per_class=2,4")

    result = fdmo("compare", *options, "--seeds", 1, *asked, "--out", tmp_path)

    assert result.returncode == 0, result.stderr
    chosen = json.loads((tmp_path / "tuning" / "random@2.json").read_text())
    assert chosen["trials"] == 2
    assert chosen["settings"].keys() == {"rebalancer.learning_rate"}
    config = (tmp_path / "cells" / "random@2" / "0" / "config.toml").read_text()
    assert f"learning_rate = {chosen['settings']['rebalancer.learning_rate']!r}" in config
    assert {"sweep.png", "sweep.svg"} <= {path.name for path in tmp_path.iterdir()}
    assert "the best of 2 trials on the validation split" in result.stdout


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--methods", "smite"), "Unknown methods: smite. Expected some of: "),
        (("--methods", "random"), "1 method(s) can be run. Expected at least 2 to compare."),
        (("--baseline", "crt"), "The baseline 'crt' is not compared. Expected one of: real-only"),
        (("--plugin", "focal"), "'--plugin focal' chooses what the methods vary"),
        (("--set", "loss.name=focal"), "'--set loss.name=focal' chooses what the methods vary"),
        (("--sweep", "x=1"), "'--sweep x=1' is no sweep."),
        (("--sweep", "loss.gamma=1,2"), "No method has the setting 'loss.gamma'"),
        (("no/such/data",), "'no/such/data' is neither a folder"),
        (("garments", "--data", "garments"), "Data is named twice"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_trained(
    fdmo: Command, options: tuple[str, ...], wrong: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = fdmo("compare", *options, *wrong, "--out", tmp_path / "out")

    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: {message}")
    assert not (tmp_path / "out").exists()


def test_a_run_folder_has_its_own_seed_data_and_configuration(
    fdmo: Command, run_folder: Path
) -> None:
    seeds = fdmo("compare", run_folder, "--methods", "real-only,random", "--seeds", 2)
    data = fdmo("compare", run_folder, "--data", "garments")

    assert "holds one phase 1, of seed 3" in seeds.stderr
    assert "is a run folder, with its own configuration and data" in data.stderr
