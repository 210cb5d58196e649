"""The pages for plugin authors: built alike, true of the public names, their examples run."""

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import fdmo_core
from fdmo_core import hookspecs
from fdmo_core.kinds import KINDS, Kind
from fdmo_core.plugin_loading import LoadedPlugins, load_plugins
from fdmo_core.plugin_selection import FOLDERS_VARIABLE
from fdmo_core.registry import Registry
from fdmo_core.testing import NotApplicable, cases_for

PAGES = Path(__file__).parents[1] / "docs" / "plugins"
STABILITY = (PAGES / "stability.md").read_text()
FDMO = Path(sys.executable).parent / "fdmo"
EXAMPLES = {"minimal": "## A minimal example", "full": "## A full example"}
PROMISES = (
    *("Calls", "Device and precision", "Randomness"),
    *("Processes", "Checkpoints", "Export"),
)
VARIANTS: dict[str, Sequence[Mapping[str, Any]]] = {
    "small-resnet": [{}, {"frozen": 2}],
    "label-aware-smoothing": [{}, {"start": 0.5}],
    "budget-dictionary": [{}, {"memory_mib": 0.01}],
}
FULL = (
    *("array-images", "small-resnet", "budget-dictionary", "sharp-mix"),
    *("label-aware-smoothing", "averaged-tuning"),
)
MINIMAL = (
    *("garments", "one-conv", "plain-landmarks", "plain-dictionary", "flat-mix", "fixed-poly"),
    "even-draws",
)
SMALL = ("data.image_size=24", "phase1.shape_epochs=0", "phase1.epochs=1")
SMALL_FULL = (
    *("texture_stream.widths=[4, 8]", "shape_stream.widths=[4, 8]", "rebalancer.epochs=1"),
)
SMALL_MINIMAL = (
    *("data.largest_class=12", "data.imbalance_ratio=4", "data.val_per_class=2"),
    *("data.test_per_class=2", "rebalancer.steps=2"),
)
of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def page_of(kind: Kind) -> str:
    return (PAGES / f"{kind.name}.md").read_text()


def code(kind: Kind, example: str) -> str:
    """Return the one block of Python in a section."""
    section = page_of(kind).partition(f"\n{EXAMPLES[example]}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with every example as a plugin of one file."""
    folder = tmp_path_factory.mktemp("examples")
    for kind in KINDS:
        for example in EXAMPLES:
            name = f"documented_{example}_{kind.name.replace('-', '_')}.py"
            (folder / name).write_text(code(kind, example))
    path = sys.path.copy()
    yield folder
    sys.path[:] = path  # loading put the folder there


@pytest.fixture(scope="module")
def plugins(folder: Path) -> LoadedPlugins:
    return load_plugins(environ={FOLDERS_VARIABLE: str(folder)})


@pytest.fixture(scope="module")
def arrays(plugins: LoadedPlugins, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images as the full example of a data set reads it."""
    arrays = tmp_path_factory.mktemp("arrays")
    plugins.components["array-images"].component.write_lookalike(arrays, num_images=90, seed=0)
    return arrays


def fdmo(*words: object, plugins: Path, cwd: Path) -> str:
    """Return what a command prints, with the examples as plugins."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [str(FDMO), *map(str, words), "--plugins-dir", str(plugins)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@of_each_kind
def test_a_page_has_the_hook_the_promises_and_two_examples(kind: Kind) -> None:
    parameters = ", ".join(inspect.signature(getattr(hookspecs, kind.hook)).parameters)
    text = page_of(kind)
    promises = text.partition("\n## What the engine guarantees\n")[2].partition("\n## ")[0]

    sections = re.findall(r"^## (.+)$", re.sub(r"(?s)```.*?```", "", text), re.MULTILINE)
    leads = re.findall(r"^- \*\*([\w ]+)\.\*\* ", promises, re.MULTILINE)

    assert sections == [
        f"{kind.hook}({parameters})",
        "What the engine guarantees",
        *(heading.removeprefix("## ") for heading in EXAMPLES.values()),
    ]
    assert [lead for lead in leads if lead in PROMISES] == list(PROMISES)
    assert len(re.findall(r"^```python$", text, re.MULTILINE)) == len(EXAMPLES)


@of_each_kind
def test_a_page_names_every_member_that_the_interface_adds(kind: Kind) -> None:
    table = page_of(kind).partition("| member |")[2].partition("\n\n")[0]

    members = {
        name
        for name, member in vars(kind.interface).items()
        if (inspect.isfunction(member) or isinstance(member, property | classmethod))
        and (not name.startswith("_") or name == "__init__")
    }

    named = set(re.findall(r"\w+", table))
    assert members
    assert members <= named


def test_every_example_loads_as_a_plugin(plugins: LoadedPlugins, folder: Path) -> None:
    files = {one.distribution for one in plugins.components.values()} & {
        path.name for path in folder.iterdir()
    }

    assert not plugins.failures
    assert len(files) == len(KINDS) * len(EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
@of_each_kind
def test_an_example_keeps_to_its_contract(
    kind: Kind, example: str, plugins: LoadedPlugins, arrays: Path
) -> None:
    file = f"documented_{example}_{kind.name.replace('-', '_')}.py"
    own = {name: one for name, one in plugins.components.items() if one.distribution == file}
    variants = {**VARIANTS, "array-images": [{"folder": str(arrays)}]}
    ran = 0

    for case in cases_for(Registry(LoadedPlugins(own)), kind.name, variants=variants):
        with suppress(NotApplicable):
            case.run()
            ran += 1

    assert ran > 5


def test_the_command_finds_nothing_wrong_with_an_example(folder: Path, tmp_path: Path) -> None:
    words = ("plugins", "check", "label-aware-smoothing", "--json")

    report = json.loads(fdmo(*words, plugins=folder, cwd=tmp_path))

    assert report


def train(components: Sequence[str], settings: Sequence[str], *, plugins: Path, cwd: Path) -> Any:
    """Return the metrics of a small run, whose folder is ``run``."""
    chosen = [word for name in components for word in ("--plugin", name)]
    changed = [word for one in (*SMALL, *settings) for word in ("--set", one)]
    words = ("train", *chosen, *changed, "--out", "run", "--json")
    return json.loads(fdmo(*words, plugins=plugins, cwd=cwd))["metrics"]


def test_full_examples_train_together_and_are_exported(
    folder: Path, arrays: Path, tmp_path: Path
) -> None:
    settings = (*SMALL_FULL, f"data.folder={json.dumps(str(arrays))}")

    metrics = train(FULL, settings, plugins=folder, cwd=tmp_path)
    exported = json.loads(fdmo("export", "onnx", "run", "--json", plugins=folder, cwd=tmp_path))

    assert metrics["test"]["after"]["samples"] > 0
    assert all(one["agrees"] for one in exported["parity"]["network"])


def test_minimal_examples_train_together(folder: Path, tmp_path: Path) -> None:
    metrics = train(MINIMAL, SMALL_MINIMAL, plugins=folder, cwd=tmp_path)

    assert metrics["test"]["after"]["samples"] > 0


def names_of(cell: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", cell)


def test_the_page_lists_the_public_names_of_the_core() -> None:
    table = STABILITY.partition("| names |")[2].partition("\n\n")[0]

    names = [name for row in table.splitlines()[2:] for name in names_of(row.split("|")[1])]

    assert sorted(names) == sorted(fdmo_core.__all__)


def modules_for_authors() -> list[tuple[str, str]]:
    table = STABILITY.partition("| module | names |")[2].partition("\n\n")[0]
    rows = [row.split("|") for row in table.splitlines()[2:]]
    return [(names_of(row[1])[0], name) for row in rows for name in names_of(row[2])]


@pytest.mark.parametrize(
    ("module", "name"),
    [*modules_for_authors(), *(("fdmo_core", name) for name in fdmo_core.__all__)],
)
def test_a_public_name_is_there_and_says_what_it_is(module: str, name: str) -> None:
    found = getattr(importlib.import_module(module), name)

    is_constant = name.isupper() or name in {"HeldOutSource", "hookimpl"}
    assert is_constant or (inspect.getdoc(found) or "").strip()
    assert is_constant or found.__module__.startswith("fdmo_core")


def test_every_module_for_authors_that_an_example_imports_is_public() -> None:
    text = "\n".join(path.read_text() for path in [*PAGES.glob("*.md"), PAGES.with_suffix(".md")])
    public = set(modules_for_authors())

    imported = {
        (module, name.strip())
        for module, names in re.findall(r"^from (fdmo_core\.[\w.]+) import (.+)$", text, re.M)
        for name in names.split(",")
    }

    assert imported
    assert imported <= public


def test_the_hooks_and_variables_on_the_page_are_those_of_the_code() -> None:
    way_in = STABILITY.partition("**The way in**")[2].partition("\n\n")[0]

    named = set(names_of(way_in))

    variables = {"FDMO_API", "FDMO_PLUGINS", FOLDERS_VARIABLE, "FDMO_STRICT_PLUGINS"}
    assert named == {kind.hook for kind in KINDS} | variables | {"fdmo"}


def test_the_page_states_the_version_of_the_interfaces() -> None:
    api = importlib.import_module("fdmo_core.api_version")

    (stated,) = re.findall(r"the version of fdmo. It is (\d+)\.", STABILITY.replace("\n", " "))

    assert int(stated) == api.API_VERSION
