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
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fdmo_core.config import resolve_run
from fdmo_core.images import read_rgb
from fdmo_core.kinds import KINDS, Kind
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.testing import NotApplicable, cases_for
from fdmo_export.runtime import OnnxClassifier

DOCS = Path(__file__).parents[1] / "docs"
BIN = Path(sys.executable).parent
TUTORIAL, *SECTIONS = re.split(r"(?m)^## (?=register_)", (DOCS / "plugins.md").read_text())
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
    return dict(re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def documented(command: str) -> list[str]:
    """Return the words of the tutorial's command that begins so."""
    (line,) = (one.strip() for one in blocks(TUTORIAL, "sh") if one.startswith(command))
    return [str(BIN / "fdmo"), *shlex.split(line)[1:]]


def run(words: list[str], environment: Mapping[str, str], cwd: Path) -> str:
    done = subprocess.run(words, env=environment, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the tutorial's files."""
    folder = tmp_path_factory.mktemp("tutorial") / "fdmo-poly"
    folder.mkdir()
    for name, content in files(TUTORIAL).items():
        (folder / name).write_text(content)
    return folder


@pytest.fixture(scope="module")
def environment(tutorial: Path) -> Mapping[str, str]:
    """Variables under which the tutorial's package is installed, from its wheel."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
    run([*build, "--outdir", str(tutorial.parent)], os.environ, tutorial)
    (wheel,) = tutorial.parent.glob("*.whl")
    site = tutorial.parent / "site"
    zipfile.ZipFile(wheel).extractall(site)
    return {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def run_folder(environment: Mapping[str, str], tutorial: Path) -> Path:
    """What the tutorial's training writes, with tiny data and networks."""
    tiny = [word for setting in TINY for word in ("--set", setting)]
    run([*documented("fdmo train"), "--out", "run", "--json", *tiny], environment, tutorial)
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


def test_the_tutorials_command_trains_with_the_component(run_folder: Path) -> None:
    config = tomllib.loads((run_folder / "config.toml").read_text())

    assert config["loss"] == {"name": "poly", "epsilon": 2.0}
    assert (run_folder / "metrics.json").is_file()


def test_the_tutorials_own_test_passes(environment: Mapping[str, str], tutorial: Path) -> None:
    words = [str(BIN / "pytest"), "-q", "-p", "no:cacheprovider", "test_fdmo_poly.py"]

    report = run(words, environment, tutorial)

    assert re.search(r"^\d+ passed", report, flags=re.MULTILINE)


def test_the_tutorials_configuration_is_accepted(
    tutorial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tutorial)
    registry = Registry(load_plugins([importlib.import_module("fdmo_poly")]))
    (block,) = (one for one in blocks(TUTORIAL, "toml") if one.startswith("[loss]"))

    resolved = resolve_run(tomllib.loads(block), registry)

    assert resolved.loss.config.epsilon == 2.0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_example_of_a_hook_keeps_to_its_contract(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (section,) = (one for one in SECTIONS if one.startswith(kind.hook))
    (code,) = blocks(section, "python")
    (tmp_path / f"documented_{kind.hook}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    plugins = load_plugins([importlib.import_module(f"documented_{kind.hook}")], installed=False)

    cases = cases_for(Registry(plugins), kind.name, variants={})

    assert not plugins.failures
    assert cases
    for case in cases:
        with suppress(NotApplicable):  # which would skip the cases that follow
            case.run()


def test_every_code_block_about_plugins_is_run() -> None:
    in_sections = [len(blocks(section, "python")) for section in SECTIONS]

    assert in_sections == [1] * len(KINDS)
    assert len(blocks(TUTORIAL, "python")) == 2
    assert len(files(TUTORIAL)) == 3


def test_the_tour_lists_what_a_run_folder_holds(run_folder: Path, onnx_file: Path) -> None:
    table = (DOCS / "tour.md").read_text().partition("## The run folder")[2].partition("\n## ")[0]
    first_cells = " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line)

    listed = {name.rstrip("/") for name in re.findall(r"`([^`]+)`", first_cells)}

    assert onnx_file.is_file()
    assert listed == {path.name for path in run_folder.iterdir()}


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
