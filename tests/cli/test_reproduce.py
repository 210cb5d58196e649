"""``fdmo reproduce``: every table and figure of the paper, in a reduced form."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import vgg16

from fdmo_cli.main import main
from fdmo_cli.reproduction.definitions import EXPERIMENTS
from fdmo_core.interfaces import Dataset
from fdmo_core.registry import Registry

Command = Callable[..., subprocess.CompletedProcess[str]]
FDMO = Path(sys.executable).with_name("fdmo")

REDUCED = (
    *("data.image_size=24", "model.feature_ratio=16", "metrics.bootstrap_samples=100"),
    *("phase1.shape_epochs=1", "phase1.epochs=1", "phase1.batch_size=32", "rebalancer.epochs=1"),
    *("generator.hidden=[16, 16]", "generator.discriminator_hidden=[16, 16]"),
)
SMALL_VGG = ("texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]")
OPTIONS = (
    *("--plugin", "small-vgg", "--device", "cpu"),
    *(part for setting in (*REDUCED, *SMALL_VGG) for part in ("--set", setting)),
)


@pytest.fixture(scope="module")
def lookalikes(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with drawn files in the format of each of the paper's data sets."""
    folders = {}
    for name, images in (("deepfashion", 80), ("deepfashion2", 60)):
        folders[name] = tmp_path_factory.mktemp(name)
        component: type[Dataset] = registry.find(name).component
        component.write_lookalike(folders[name], num_images=images, seed=0)
    return folders


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Above the folders of all experiments, so that those of one preset share their runs."""
    return tmp_path_factory.mktemp("reproduced")


@pytest.fixture(scope="module")
def run_again(
    fdmo: Command, out: Path, lookalikes: dict[str, Path]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs an experiment in its preset's folder, with further options."""

    def run(name: str, *options: object) -> subprocess.CompletedProcess[str]:
        preset = EXPERIMENTS[name].preset
        data = ("--data", lookalikes[preset])
        return fdmo("reproduce", name, *data, *OPTIONS, "--out", out / preset, *options)

    return run


@pytest.fixture(scope="module")
def reproduced(run_again: Command, out: Path) -> Callable[[str], Path]:
    """A function that runs an experiment once, and returns the folder with its files."""

    @cache
    def run(name: str) -> Path:
        result = run_again(name)
        assert result.returncode == 0, result.stderr
        return out / EXPERIMENTS[name].preset

    return run


def lines(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def finished(folder: Path) -> dict[str, float]:
    """Return when each run was finished, by name of its folder."""
    return {path.parent.name: path.stat().st_mtime for path in folder.glob("seed-*/*/metrics.json")}


def trained_phase1(folder: Path) -> set[str]:
    return {path.parts[-3] for path in folder.glob("seed-*/*/checkpoints/phase1.safetensors")}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_to_its_end(reproduced: Callable[[str], Path], name: str) -> None:
    folder = reproduced(name)

    experiment = EXPERIMENTS[name]
    assert {path.name for path in folder.glob(f"{name}.*")} == {
        f"{name}.{kind}" for kind in ("csv", "json", "png", "svg")
    }
    assert experiment.cells.keys() <= finished(folder).keys()
    assert trained_phase1(folder) <= {"ldam", "no-aux-ldam", "zhang"}


def test_the_csv_file_holds_what_metrics_json_holds(reproduced: Callable[[str], Path]) -> None:
    folder = reproduced("table5")

    found = lines(folder / "table5.csv")

    assert len(found) == 3 * 6
    for line in found:
        metrics = json.loads((folder / "seed-0" / line["cell"] / "metrics.json").read_text())
        assert float(line["mean"]) == metrics["test"][line["when"]][line["metric"]]


def test_runs_of_one_phase_1_are_equal_before_phase_2(reproduced: Callable[[str], Path]) -> None:
    folder = reproduced("table5") / "seed-0"

    before = [
        json.loads((folder / name / "metrics.json").read_text())["test"]["before"]
        for name in ("ldam", "shape-only", "cross-entropy")
    ]

    assert before[0] == before[1] == before[2]


def test_the_same_command_again_trains_nothing(
    reproduced: Callable[[str], Path], run_again: Command
) -> None:
    folder = reproduced("figure2")
    before = finished(folder)

    result = run_again("figure2", "--no-plot")

    assert result.returncode == 0
    assert result.stderr == ""
    assert finished(folder) == before


def test_a_cell_can_be_exported(
    reproduced: Callable[[str], Path], fdmo: Command, tmp_path: Path
) -> None:
    run = reproduced("figure2") / "seed-0" / "ldam"

    result = fdmo("export", "onnx", run, "--out", tmp_path / "model.onnx", "--json")

    assert result.returncode == 0, result.stderr


def test_the_screen_shows_ours_beside_the_paper_s(
    reproduced: Callable[[str], Path], run_again: Command
) -> None:
    folder = reproduced("table5")

    shown = run_again("table5", "--no-plot").stdout.splitlines()

    assert shown[1] == "The paper shows one run on DeepFashion, without spread."
    (line,) = (line for line in shown if "shape stream only" in line)
    assert "72.43" in line
    assert "0.3692" in line
    assert shown[-1] == f"Runs and results: {folder}"


def test_json_is_alone_on_stdout_and_the_same_as_in_the_file(
    reproduced: Callable[[str], Path], run_again: Command
) -> None:
    folder = reproduced("figure2")

    result = run_again("figure2", "--json", "--no-plot")

    assert json.loads(result.stdout) == json.loads((folder / "figure2.json").read_text())


def test_changed_settings_are_refused_and_listed(
    reproduced: Callable[[str], Path], run_again: Command
) -> None:
    folder = reproduced("figure2")

    result = run_again("figure2", "--no-plot", "--set", "metrics.top_k=3")

    assert result.returncode == 1
    assert result.stderr.startswith("Error: Settings are not those that runs were begun with:\n")
    assert f"metrics.top_k was 5, is 3: {folder}/seed-0/ldam" in result.stderr


def test_other_data_by_name_is_told_beside_the_paper_s_figures_and_seeds_give_a_mean(
    fdmo: Command, tmp_path: Path
) -> None:
    few = ("data.largest_class=4", "data.imbalance_ratio=2")
    held_out = ("data.val_per_class=1", "data.test_per_class=1")
    settings = (part for setting in (*few, *held_out) for part in ("--set", setting))
    options = ("--seeds", 2, "--seed", 5, "--no-plot", "--out", tmp_path)

    result = fdmo("reproduce", "figure2", "--data=garments", *OPTIONS, *settings, *options)

    assert result.returncode == 0, result.stderr
    shown = result.stdout.splitlines()
    assert "The data set here is garments, so the paper's figures say nothing about it." in shown
    assert "Mean of 2 seeds. Intervals: 95 %, Student's t over seeds." in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("figure2.csv", "figure2.json", "seed-5", "seed-6")
    ]
    recalls = [line for line in lines(tmp_path / "figure2.csv") if line["metric"] == "recall"]
    assert {line["seeds"] for line in recalls} == {"2"}


def test_a_cell_that_fails_is_told_at_the_end_and_the_others_go_on(
    fdmo: Command, lookalikes: dict[str, Path], tmp_path: Path
) -> None:
    data = ("--data", lookalikes["deepfashion"])
    wrong = ("--set", "generator.learning_rate=1e38", "--set", "rebalancer.batch_size=8")

    result = fdmo("reproduce", "table5", *data, *OPTIONS, *wrong, "--no-plot", "--out", tmp_path)

    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error in ")]
    assert [line.split(":")[0] for line in errors] == [
        f"Error in seed-0/{name}"
        for name in ("ldam", "cross-entropy", "shape-only", "texture-only")
    ]
    assert "diverged" in errors[0]
    assert finished(tmp_path).keys() == {"ldam-real"}
    assert {line["row"] for line in lines(tmp_path / "table5.csv")} == {"real features only, LDAM"}


@pytest.fixture
def killed(lookalikes: dict[str, Path], tmp_path: Path) -> Path:
    """The folder of a command that was stopped with Ctrl-C in its second run, or soon after."""
    data = ("--data", str(lookalikes["deepfashion"]))
    command = [
        str(FDMO),
        "reproduce",
        "table5",
        *data,
        *OPTIONS,
        "--no-plot",
        "--out",
        str(tmp_path),
    ]
    second = tmp_path / "seed-0" / "ldam-real"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's '&' ignores it
    )
    while not (second / "config.toml").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped. The same command goes on from here." in told
    return tmp_path


def test_after_ctrl_c_the_same_command_goes_on(
    killed: Path, fdmo: Command, lookalikes: dict[str, Path]
) -> None:
    before = finished(killed)
    data = ("--data", lookalikes["deepfashion"])

    result = fdmo("reproduce", "table5", *data, *OPTIONS, "--no-plot", "--out", killed)

    assert result.returncode == 0, result.stderr
    assert {"ldam"} <= before.keys() < EXPERIMENTS["table5"].cells.keys()
    assert before.items() <= finished(killed).items()
    assert trained_phase1(killed) == {"ldam"}
    assert finished(killed).keys() == EXPERIMENTS["table5"].cells.keys()


def figure2_in_processes(data: str, folder: str) -> Any:
    options = ("--data", data, *OPTIONS, "--no-plot", "--out", folder)
    sys.argv = ["fdmo", "reproduce", "figure2", *options]
    main()


def test_two_processes_share_the_runs(
    in_processes: Callable[..., list[Any]],
    reproduced: Callable[[str], Path],
    lookalikes: dict[str, Path],
    tmp_path: Path,
) -> None:
    arguments = (lookalikes["deepfashion"], tmp_path)

    outcomes = in_processes(2, figure2_in_processes, *arguments, outcomes=True)

    assert [code for code, _ in outcomes] == [0, 0], outcomes
    expected = lines(reproduced("figure2") / "figure2.csv")
    found = lines(tmp_path / "figure2.csv")
    assert [(line["row"], line["when"]) for line in found] == [
        (line["row"], line["when"]) for line in expected
    ]


@pytest.mark.parametrize("preset", ["deepfashion", "deepfashion2", "zhang"])
def test_a_preset_trains_in_reduced_size(
    preset: str, fdmo: Command, lookalikes: dict[str, Path], tmp_path: Path
) -> None:
    root = lookalikes.get(preset, lookalikes["deepfashion"])
    options = ("--set", f"data.root={root}", "--out", tmp_path / "run", "--json")

    result = fdmo("train", "--config", preset, *OPTIONS, *options)

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["metrics"]["test"]["after"]["samples"] > 0


def vgg16_features() -> dict[str, Tensor]:
    """Return random weights of VGG16's convolutions under torchvision's names."""
    with torch.device("meta"):
        features = vgg16(weights=None, init_weights=False).features
    return {name: torch.randn(one.shape) * 0.03 for name, one in features.state_dict().items()}


def test_the_paper_s_streams_train_in_reduced_size_from_a_cached_prefix(
    fdmo: Command, lookalikes: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "vgg16.safetensors"
    save_file({f"features.{key}": one for key, one in vgg16_features().items()}, file)
    random = [f"{name}_stream.weights_file={file}" for name in ("texture", "shape")]
    narrow = ("model.feature_ratio=1", f"data.root={lookalikes['deepfashion']}")
    settings = (part for setting in (*REDUCED, *random, *narrow) for part in ("--set", setting))

    result = fdmo("train", "--config", "deepfashion", *settings, "--out", "run", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "runs" / "prefix-cache" / "deepfashion").iterdir())


def test_an_unknown_experiment_lists_those_that_there_are(fdmo: Command) -> None:
    result = fdmo("reproduce", "table1", "--data", "garments")

    assert result.returncode == 1
    assert result.stderr == (
        "Error: Unknown experiment 'table1'. Expected one of: table2, table3, table4, table5, "
        "figure2, figure4. Figure 3 of the paper is what table5 measures.\n"
    )


def test_data_must_be_named(fdmo: Command) -> None:
    result = fdmo("reproduce", "table2")

    assert result.returncode == 2
    assert "--data" in result.stderr
