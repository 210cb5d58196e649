"""The examples of the documentation, run as a reader would run them."""

import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fdmo_cli.comparison.methods import all_methods
from fdmo_core.config import json_schema, resolve_run
from fdmo_core.images import read_rgb
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_export.runtime import OnnxClassifier

DOCS = Path(__file__).parents[1] / "docs"
BIN = Path(sys.executable).parent
TUTORIAL = (DOCS / "plugins.md").read_text()
ONNX = (DOCS / "onnx.md").read_text()
TINY = (
    *("data.largest_class=12", "data.imbalance_ratio=4", "data.image_size=24"),
    *("data.val_per_class=2", "data.test_per_class=2"),
    *("texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]"),
    *("phase1.shape_epochs=0", "phase1.epochs=1", "rebalancer.epochs=1"),
    *("generator.hidden=[16, 16]", "generator.discriminator_hidden=[16, 16]"),
)

Pixels = Callable[[Image.Image], NDArray[np.uint8]]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def files(text: str) -> dict[str, str]:
    """Return the code blocks that stand below the name of a file."""
    return dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def documented(command: str) -> list[str]:
    """Return the words of a command, which is one of the tutorial's."""
    assert command in [line for block in blocks(TUTORIAL, "sh") for line in block.splitlines()]
    return [str(BIN / "fdmo"), *shlex.split(command)[1:]]


def run(words: list[str], environment: Mapping[str, str], cwd: Path) -> str:
    done = subprocess.run(words, env=environment, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the tutorial begins with, with its files in place."""
    parent = tmp_path_factory.mktemp("tutorial")
    run(documented("fdmo plugins new poly --kind loss"), os.environ, parent)
    for name, content in files(TUTORIAL).items():
        (parent / "fdmo-poly" / name).write_text(content)
    return parent / "fdmo-poly"


@pytest.fixture(scope="module")
def environment(tutorial: Path) -> Mapping[str, str]:
    """Variables under which the tutorial's package is installed, from its wheel."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
    run([*build, "--outdir", str(tutorial.parent)], os.environ, tutorial)
    (wheel,) = tutorial.parent.glob("*.whl")
    site = tutorial.parent / "site"
    zipfile.ZipFile(wheel).extractall(site)
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def run_folder(environment: Mapping[str, str], tutorial: Path) -> Path:
    """What the tutorial's training writes, with tiny data and networks."""
    tiny = [word for setting in TINY for word in ("--set", setting)]
    command = documented("fdmo train --plugin poly --set loss.epsilon=2")
    run([*command, "--out", "run", "--json", *tiny], environment, tutorial)
    return tutorial / "run"


@pytest.fixture(scope="module")
def onnx_file(run_folder: Path, environment: Mapping[str, str], tutorial: Path) -> Path:
    run([str(BIN / "fdmo"), "export", "onnx", "run", "--json"], environment, tutorial)
    return run_folder / "export" / "model.onnx"


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Pixels:
    """The function of the example."""
    path = tmp_path_factory.mktemp("example") / "classify.py"
    path.write_text(files(ONNX)["classify.py"])
    spec = importlib.util.spec_from_file_location("classify", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Pixels = module.pixels
    return function


def test_the_tutorial_replaces_files_that_the_command_wrote(tutorial: Path) -> None:
    written = {
        path.relative_to(tutorial).as_posix() for path in tutorial.rglob("*") if path.is_file()
    }
    entry_points, _ = blocks(TUTORIAL, "toml")

    assert set(files(TUTORIAL)) == {"fdmo_poly/__init__.py", "tests/test_fdmo_poly.py"}
    assert written >= {*files(TUTORIAL), "README.md", ".github/workflows/ci.yml"}
    assert len([one for one in written if one.endswith(".py")]) == len(files(TUTORIAL))
    assert entry_points in (tutorial / "pyproject.toml").read_text()


def test_the_tutorials_component_is_listed(environment: Mapping[str, str], tutorial: Path) -> None:
    listing = run([*documented("fdmo plugins"), "--json"], environment, tutorial)

    (row,) = (row for row in json.loads(listing) if row["name"] == "poly")
    assert row == {
        "name": "poly",
        "kind": "loss",
        "distribution": "fdmo-poly",
        "version": "0.1.0",
        "summary": "Cross-entropy plus the doubt in the true class.",
    }


def test_the_tutorials_component_is_shown_with_its_option(
    environment: Mapping[str, str], tutorial: Path
) -> None:
    shown = run(documented("fdmo plugins show poly"), environment, tutorial)

    assert "Leng et al. 2022" in shown
    assert "epsilon" in shown


def test_the_tutorials_component_passes_the_battery(
    environment: Mapping[str, str], tutorial: Path
) -> None:
    run(documented("fdmo plugins check poly"), environment, tutorial)


def test_the_tutorials_command_trains_with_the_component(run_folder: Path) -> None:
    config = tomllib.loads((run_folder / "config.toml").read_text())

    assert config["loss"] == {"name": "poly", "epsilon": 2.0}
    assert (run_folder / "metrics.json").is_file()


def test_the_tutorials_own_test_passes(environment: Mapping[str, str], tutorial: Path) -> None:
    words = [str(BIN / "pytest"), "-q", "-p", "no:cacheprovider"]

    report = run(words, environment, tutorial)

    assert re.search(r"^\d+ passed", report, flags=re.MULTILINE)


@pytest.fixture
def registry(tutorial: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """All components, with the tutorial's."""
    monkeypatch.syspath_prepend(tutorial)
    return Registry(load_plugins([importlib.import_module("fdmo_poly")]))


def test_the_tutorials_configuration_is_accepted(registry: Registry) -> None:
    (block,) = (one for one in blocks(TUTORIAL, "toml") if one.startswith("[loss]"))

    resolved = resolve_run(tomllib.loads(block), registry)

    assert resolved.loss.config.epsilon == 2.0


def test_the_schema_has_the_tutorials_component(registry: Registry) -> None:
    schema = json.dumps(json_schema(registry))

    assert "Weight of the added doubt." in schema


def test_the_tutorials_methods_are_those_of_compare(registry: Registry) -> None:
    words = documented("fdmo compare --methods none,convexgan,convexgan-poly")

    methods = set(all_methods(registry))

    assert set(words[-1].split(",")) <= methods
    assert "real-only-poly" in methods


def test_a_plugin_of_one_file_is_listed(tmp_path: Path) -> None:
    new = documented("fdmo plugins new poly --kind loss --one-file --out plugins")
    run(new, os.environ, tmp_path)

    words = [*documented("fdmo plugins --plugins-dir plugins"), "--json"]
    listing = json.loads(run(words, os.environ, tmp_path))

    assert "poly" in {row["name"] for row in listing}


def test_every_code_block_of_the_tutorial_is_run() -> None:
    assert len(blocks(TUTORIAL, "python")) == len(files(TUTORIAL))
    assert len(blocks(TUTORIAL, "toml")) == 2


def test_the_tour_lists_what_a_run_folder_holds(run_folder: Path, onnx_file: Path) -> None:
    table = (DOCS / "tour.md").read_text().partition("## The run folder")[2].partition("\n## ")[0]
    first_cells = " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line)

    listed = {name.rstrip("/") for name in re.findall(r"`([^`]+)`", first_cells)}

    assert onnx_file.is_file()
    sometimes = {"lock.json", "diagnosis-*.json"}  # while it is written; where something diverged
    assert listed - sometimes == {path.name for path in run_folder.iterdir()}
    assert sometimes <= listed


def test_the_onnx_page_lists_the_metadata(onnx_file: Path) -> None:
    section = ONNX.partition("## Metadata")[2].partition("\n## ")[0]

    entries = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)

    assert entries == list(OnnxClassifier(onnx_file).metadata)


def test_the_onnx_page_lists_inputs_and_outputs(onnx_file: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])

    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \| (\w+) \|", ONNX, flags=re.MULTILINE)

    types = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
    found = [
        (one.name, kind, types[one.type])
        for kind, values in (
            ("input", session.get_inputs()),
            ("optional input", session.get_overridable_initializers()),
            ("output", session.get_outputs()),
        )
        for one in values
    ]
    assert rows == found


def test_the_example_needs_neither_fdmo_nor_torch() -> None:
    tree = ast.parse(files(ONNX)["classify.py"])

    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
        for node in imports
    }

    assert {name.partition(".")[0] for name in modules} == {
        *("json", "sys"),
        *("numpy", "onnxruntime", "PIL"),
    }


def test_the_example_answers_as_the_exported_file_does(onnx_file: Path, tmp_path: Path) -> None:
    (tmp_path / "classify.py").write_text(files(ONNX)["classify.py"])
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((60, 90, 3), (50, 20, 3))]
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    classifier = OnnxClassifier(onnx_file)
    expected = [classifier.run(one[np.newaxis])["probabilities"][0] for one in pictures]

    words = [sys.executable, "classify.py", str(onnx_file), "0.png", "1.png"]
    lines = run(words, os.environ, tmp_path).splitlines()

    answers = [line.split("\t") for line in lines]
    assert [answer[0] for answer in answers] == ["0.png", "1.png"]
    for (_, name, probability), row in zip(answers, expected, strict=True):
        assert name == classifier.class_names[row.argmax()]
        assert float(probability) == pytest.approx(row.max(), abs=1e-4)  # it prints 4 digits


def test_the_example_reads_transparent_and_turned_images_as_fdmo(
    pixels: Pixels, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).integers(0, 256, (30, 50, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(values).save(tmp_path / "odd.png", exif=exif)

    found = pixels(Image.open(tmp_path / "odd.png"))

    assert found.shape == (1, 50, 30, 3)
    np.testing.assert_array_equal(found[0], read_rgb(tmp_path / "odd.png", max_pixels=10_000))


def test_the_example_scales_grey_of_16_bits_as_fdmo(pixels: Pixels, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (20, 30), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "grey.png")

    found = pixels(Image.open(tmp_path / "grey.png"))

    np.testing.assert_array_equal(found[0], read_rgb(tmp_path / "grey.png", max_pixels=10_000))
