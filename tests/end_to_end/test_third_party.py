"""Two strangers' distributions are used wherever built-in components are, and then removed."""

import io
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fdmo_cli.main import main
from fdmo_core import run_folder

InProcesses = Callable[..., list[Any]]
Fdmo = Callable[..., dict[str, Any]]
Install = Callable[..., Path]

SOURCES = Path(__file__).with_name("third_party")
CONFIG = """
[data]
name = "shop-data"
image_size = 24

[texture_stream]
name = "shop-net"

[shape_stream]
name = "shop-net"

[phase1]
shape_epochs = 1
epochs = 1
batch_size = 16

[model]
feature_ratio = 2

[augmentation]
mirror = false
rotation = 0
zoom = 0
shift = 0
brightness = 0
contrast = 0

[rebalancer]
epochs = 2
batch_size = 8
samples_per_class = 4

[metrics]
bootstrap_samples = 100
"""
LITTLE = 5e-3  # sums of two processes are rounded otherwise, and Adam amplifies it
PHASE2 = ("--plugin", "till-loss", "--plugin", "till-mix")


def command(folder: str, packages: str, goes_on: bool, *arguments: str) -> dict[str, Any]:
    """Run fdmo in a folder with the distributions of another one; return what it did."""
    sys.path.insert(0, packages)
    os.chdir(folder)
    sys.argv = ["fdmo", *arguments]
    if goes_on:  # into a run folder that is there, as a run that was interrupted does
        replaced: Any = run_folder
        replaced.create_run_folder = lambda out, data: out
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as leaving:
            print(leaving.code if isinstance(leaving.code, str) else "", file=err)
            code = 1 if isinstance(leaving.code, str) else leaving.code or 0
        except Exception:
            traceback.print_exc()
            code = 1
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """A function that makes a folder with distributions, given as ``till="0.2"``."""

    def make(**versions: str) -> Path:
        folder = tmp_path_factory.mktemp("packages")
        for name, version in versions.items():
            shutil.copy(SOURCES / f"fdmo_{name}.py", folder)
            info = folder / f"fdmo_{name}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: fdmo-{name}\nVersion: {version}\n"
            )
            (info / "entry_points.txt").write_text(f"[fdmo]\n{name} = fdmo_{name}\n")
        return folder

    return make


@pytest.fixture(scope="module")
def both(install: Install) -> Path:
    return install(shop="0.1.0", till="0.2.0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands run: with a configuration file."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "run.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def fdmo(in_processes: InProcesses, folder: Path, both: Path) -> Fdmo:
    """A function that runs the command with both distributions, or with those of ``packages``."""

    def run(
        *arguments: object, packages: Path = both, size: int = 1, goes_on: bool = False
    ) -> dict[str, Any]:
        words = [str(one) for one in arguments]
        found = in_processes(size, command, str(folder), str(packages), goes_on, *words)
        first: dict[str, Any] = found[0]
        return first

    return run


def train(*arguments: object) -> tuple[object, ...]:
    return ("train", "--config", "run.toml", *PHASE2, "--device", "cpu", "--json", *arguments)


@pytest.fixture(scope="module")
def trained(fdmo: Fdmo, folder: Path) -> Path:
    """A run of all four components, with its maps in a cache."""
    result = fdmo(*train("--out", "run", "--set", "cache.folder=cache"))
    assert result["code"] == 0, result["err"]
    return folder / "run"


@pytest.fixture(scope="module")
def shop_only(install: Install) -> Path:
    """Another version of data set and extractor, without the package of loss and generator."""
    return install(shop="0.3.0")


@pytest.fixture(scope="module")
def exported(fdmo: Fdmo, trained: Path, shop_only: Path) -> dict[str, Any]:
    """What 'fdmo export onnx' did without the package of loss and generator."""
    return fdmo("export", "onnx", trained, packages=shop_only)


def weights(run: Path) -> dict[str, Any]:
    return {name: one.tolist() for name, one in load_file(run / "model.safetensors").items()}


def phase1_weights(run: Path) -> dict[str, Tensor]:
    tensors = load_file(run / "checkpoints" / "phase1.safetensors")
    return {name: one for name, one in tensors.items() if name.startswith("module.")}


def test_the_schema_knows_their_settings(fdmo: Fdmo) -> None:
    schema = json.loads(fdmo("config", "schema")["out"])

    assert schema["$defs"]["till-loss"]["properties"]["weight"]["maximum"] == 9
    assert {"$ref": "#/$defs/shop-net"} in schema["properties"]["shape_stream"]["oneOf"]


def test_a_setting_that_does_not_fit_is_refused_by_its_key(fdmo: Fdmo) -> None:
    result = fdmo("config", "show", "--plugin", "till-loss", "--set", "loss.weigth=2")

    assert result["code"] == 1
    assert "loss.weigth: " in result["err"]
    assert "did you mean 'weight'?" in result["err"]


def test_a_run_notes_which_distribution_each_component_is_of(trained: Path) -> None:
    noted = json.loads((trained / "environment.json").read_text())["components"]

    shop = {"distribution": "fdmo-shop", "version": "0.1.0"}
    assert noted["data"] == {"name": "shop-data", **shop}
    assert noted["shape_stream"] == {"name": "shop-net", **shop}
    assert noted["loss"] == {
        "name": "till-loss",
        "distribution": "fdmo-till",
        "version": "0.2.0",
    }
    assert noted["rebalancer"]["distribution"] == "fdmo"


def test_their_frozen_stage_is_cached_and_taken_from_there(
    fdmo: Fdmo, folder: Path, trained: Path
) -> None:
    paths = [path for path in (folder / "cache").rglob("*") if path.is_file()]
    written = {path: path.stat().st_mtime_ns for path in paths}

    result = fdmo(*train("--out", "again", "--set", "cache.folder=cache"))

    assert result["code"] == 0, result["err"]
    assert written
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert weights(folder / "again") == weights(trained)


def test_two_processes_train_them_as_one_does(fdmo: Fdmo, folder: Path, trained: Path) -> None:
    result = fdmo(*train("--out", "two"), size=2)

    assert result["code"] == 0, result["err"]
    assert json.loads((folder / "two" / "environment.json").read_text())["processes"] == 2
    found, expected = phase1_weights(folder / "two"), phase1_weights(trained)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], one, atol=LITTLE) for name, one in expected.items())


def test_a_run_that_broke_in_their_loss_names_it_and_goes_on_to_the_same_end(
    fdmo: Fdmo, folder: Path, trained: Path
) -> None:
    into = train("--out", "broken", "--set", "cache.folder=cache", "--set", "checkpoint.steps=1")

    broken = fdmo(*into, "--set", "loss.breaks_at=0.5")
    gone_on = fdmo(*into, goes_on=True)

    steps = (folder / "broken" / "log.jsonl").read_text().splitlines()
    phase2 = [one for one in map(json.loads, steps) if one.get("phase") == "phase2"]
    half = phase2[0]["of"] // 2
    assert broken["code"] == 1
    assert broken["err"].splitlines()[-2:] == [
        "ZeroDivisionError: the till is empty",
        f"Raised by loss 'till-loss' of fdmo-till 0.2.0, in step {half} of phase2.",
    ]
    assert gone_on["code"] == 0, gone_on["err"]
    assert [one["step"] for one in phase2] == list(range(phase2[0]["of"]))  # none was done twice
    assert weights(folder / "broken") == weights(trained)


def test_an_image_that_breaks_names_their_data_set(fdmo: Fdmo) -> None:
    result = fdmo(*train("--out", "closed", "--set", "data.broken_image=3"))

    assert result["code"] == 1
    assert result["err"].splitlines()[-1] == (
        "Raised by dataset 'shop-data' of fdmo-shop 0.1.0, in reading images."
    )


def test_a_comparison_runs_the_methods_that_they_make(fdmo: Fdmo, folder: Path) -> None:
    methods = "real-only-till-loss,till-mix"
    compare = ("compare", "--config", "run.toml", "--methods", methods, "--no-plot", "--json")

    result = fdmo(*compare, "--seeds", 1, "--jobs", 1, "--out", "compared", "--device", "cpu")

    assert result["code"] == 0, result["err"]
    found = json.loads(result["out"])
    assert {one["method"] for one in found["results"]} == set(methods.split(","))
    assert found["failures"] == {}


def test_export_needs_nothing_of_phase_2_and_the_file_answers_as_the_run(
    fdmo: Fdmo, trained: Path, exported: dict[str, Any], shop_only: Path
) -> None:
    assert exported["code"] == 0, exported["err"]

    in_run = json.loads((trained / "metrics.json").read_text())["test"]["after"]
    for target in (trained, trained / "export" / "model.onnx"):
        result = fdmo("evaluate", target, "--json", packages=shop_only)
        assert result["code"] == 0, result["err"]
        assert json.loads(result["out"])["test"]["acsa"] == pytest.approx(in_run["acsa"])


def test_another_version_than_the_run_had_is_told_in_one_line(
    trained: Path, exported: dict[str, Any]
) -> None:
    told = [line for line in exported["err"].splitlines() if line.startswith("Notice: ")]

    assert told == [
        f"Notice: dataset 'shop-data' and extractor 'shop-net': {trained} had fdmo-shop 0.1.0, "
        f"and here is fdmo-shop 0.3.0."
    ]


@pytest.mark.parametrize(
    ("words", "kind", "name"),
    [
        (("export", "onnx", "--part", "generator"), "Loss", "till-loss"),
        (("diagnose",), "Generator", "till-mix"),
        (("dictionary", "show", "--all"), "Loss", "till-loss"),
    ],
)
def test_what_needs_a_component_that_is_gone_says_what_to_install(
    fdmo: Fdmo, trained: Path, shop_only: Path, words: tuple[str], kind: str, name: str
) -> None:
    result = fdmo(*words, trained, packages=shop_only)

    assert result["code"] == 1
    assert (
        f"{kind} '{name}' is not here: {trained} had it from fdmo-till 0.2.0. Expected that "
        f"plugin, loaded. Install it: pip install fdmo-till==0.2.0"
    ) in result["err"]


@pytest.mark.parametrize(
    "words",
    [("evaluate",), ("export", "onnx"), ("features", "extract", "--out", "features.safetensors")],
)
def test_without_its_extractor_a_run_says_what_to_install(
    fdmo: Fdmo, trained: Path, install: Install, words: tuple[str]
) -> None:
    result = fdmo(*words, trained, packages=install(till="0.2.0"))

    assert result["code"] == 1
    assert (
        f"Extractor 'shop-net' is not here: {trained} had it from fdmo-shop 0.1.0."
        in (result["err"])
    )
    assert "pip install fdmo-shop==0.1.0" in result["err"]


def test_phase_1_is_lent_by_a_run_whose_loss_is_gone(
    fdmo: Fdmo, trained: Path, shop_only: Path
) -> None:
    lent = ("train", "--config", "run.toml", "--phase1-from", trained, "--device", "cpu", "--json")

    with_another = fdmo(*lent, "--out", "lent", packages=shop_only)
    with_its_own = fdmo(*lent, "--plugin", "till-loss", "--out", "never", packages=shop_only)

    assert with_another["code"] == 0, with_another["err"]
    assert "pip install fdmo-till==0.2.0" in with_its_own["err"]


def test_a_comparison_that_is_gone_on_with_says_what_to_install(
    fdmo: Fdmo, folder: Path, shop_only: Path
) -> None:
    methods = "real-only-till-loss,till-mix"
    compare = ("compare", "--config", "run.toml", "--methods", methods, "--out", "compared")

    result = fdmo(*compare, "--no-plot", packages=shop_only)

    assert result["code"] == 1
    assert "Unknown methods: real-only-till-loss, till-mix." in result["err"]
    assert result["err"].count("pip install fdmo-till==0.2.0") == 2
