"""What the documentation says of code, settings, commands and files is so."""

import importlib.util
import re
import shlex
import tomllib
from functools import reduce
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ValidationError

from fdmo_cli.main import app
from fdmo_core import DrawnFeatures
from fdmo_core.combination import convex_combination
from fdmo_core.config import RunConfig
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.glob("*.md"),
        *DOCS.glob("decisions/*.md"),
        *DOCS.glob("plugins/*.md"),
    ]
)
IDS = {path: path.relative_to(ROOT).as_posix() for path in PAGES}
PAPER = (DOCS / "paper.md").read_text()
OF_THE_PAPER = [
    *(f"Eq. ({number})" for number in range(1, 7)),
    *(f"Table {number}" for number in range(1, 6)),
    *(f"Fig. {number}" for number in range(1, 5)),
    *(f"{line}" for line in range(1, 19)),  # of Algorithm 1
    *(f"S{number}" for number in range(1, 8)),
    *(f"L{number}" for number in range(1, 14)),
    *(f"P{number}" for number in range(1, 12)),
    *(f"T{number}" for number in range(1, 10)),
    *(f"D{number}" for number in range(1, 11)),
]

_spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
assert _spec is not None
assert _spec.loader is not None
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)
REGISTRY = Registry(load_plugins())
COMMANDS = generate.commands(app, "fdmo")


def named(page: Path) -> str:
    return IDS[page]


def table_rows(text: str) -> list[list[str]]:
    """Return the cells of all rows of all tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def config_classes(section: str) -> list[type[BaseModel]]:
    """Return the classes that a section's keys may come from."""
    if section in KIND_OF_SECTION:
        kind = KIND_OF_SECTION[section]
        return [one.component.config_class for one in REGISTRY.components(kind)]
    return [type(RunConfig.model_fields[section].default)]


def options_of(command: Any) -> set[str]:
    rows = generate.parameters(command)
    return {name for row in rows for name in row[0].split("/")}


def accepts(config_class: type[BaseModel], key: str, value: Any) -> bool:
    try:
        config_class.model_validate({key: value})
    except ValidationError:
        return False
    return key in config_class.model_fields


def settings(text: str) -> list[tuple[str, str, str]]:
    """Return section, key and value, which may be empty, of all settings in code."""
    sections = "|".join(RunConfig.model_fields)
    files = "json|npz|onnx|safetensors"
    pattern = rf"(?:`|--set )({sections})\.(?!(?:{files})\b)(\w+)(?: ?= ?([^`\s]+))?(?=[`\s])"
    return re.findall(pattern, text)


@pytest.mark.parametrize("file", ["configuration.md", "cli.md"])
def test_a_generated_page_is_current(file: str) -> None:
    expected = generate.PAGES[file]()

    found = (DOCS / file).read_text()

    assert found == expected, "run 'python docs/generate.py'"


@pytest.mark.parametrize("item", OF_THE_PAPER)
def test_every_item_of_the_paper_has_one_row(item: str) -> None:
    firsts = [row[0] for row in table_rows(PAPER)]

    assert firsts.count(item) == 1


@pytest.mark.parametrize("item", OF_THE_PAPER[:33])
def test_every_printed_item_of_the_paper_names_a_symbol(item: str) -> None:
    (row,) = (row for row in table_rows(PAPER) if row[0] == item)

    assert re.search(r"`fdmo_\w+[\w.]*:\w+", row[2])


def test_every_cross_reference_of_the_paper_page_has_a_row() -> None:
    rows = table_rows(PAPER)

    used = {one for row in rows for one in re.findall(r"\b[SLPTD]\d+\b", " ".join(row[1:]))}

    assert used
    assert used <= set(OF_THE_PAPER)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_symbol_can_be_imported(page: Path) -> None:
    symbols = re.findall(r"`(fdmo_[\w.]+):([\w.]+)`", page.read_text())

    for module, name in symbols:
        reduce(getattr, name.split("."), importlib.import_module(module))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_setting_exists(page: Path) -> None:
    named_settings = settings(page.read_text())

    unknown = [
        f"{section}.{key}"
        for section, key, _ in named_settings
        if not any(key in one.model_fields for one in config_classes(section))
        and (page.name, section, key) != ("plugins.md", "loss", "epsilon")  # of the tutorial
    ]

    assert not unknown


def test_defaults_and_alternatives_of_the_paper_page_are_true() -> None:
    rows = [row for row in table_rows(PAPER) if re.fullmatch(r"[SLPTD]\d+", row[0])]

    for row in rows:
        for section, key, text in settings(row[2]):
            value = tomllib.loads(f"value = {text}")["value"] if text else None
            fields = [one.model_fields.get(key) for one in config_classes(section)]
            assert not text or any(one and one.default == value for one in fields), row
        for section, key, text in settings(row[3]):
            value = tomllib.loads(f"value = {text.rstrip(',')}")["value"] if text else None
            assert not text or any(accepts(one, key, value) for one in config_classes(section)), row


def test_mixtures_have_the_covariance_that_the_paper_page_states() -> None:
    values = torch.tensor([[1.0], [2.0], [4.0], [8.0], [9.0]], dtype=torch.float64)
    draws = torch.tensor(list(permutations(range(5), 3)))  # (60, 3), all equally likely
    drawn = DrawnFeatures(values, draws, torch.ones_like(draws).bool(), torch.arange(60))
    weights = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    squares = weights.square().sum()

    mixed, reordered = (
        convex_combination(one.expand(60, 1, 3), drawn, (1,)) for one in (weights, weights.flip(0))
    )

    factor = squares - (1 - squares) / (5 - 1)
    assert torch.allclose(mixed.mean(), values.mean())
    assert torch.allclose(mixed.var(correction=0), factor * values.var(correction=0))
    assert torch.allclose(mixed.sort(dim=0).values, reordered.sort(dim=0).values)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_resolves(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())

    for target in targets:
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in headings(file), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_is_one_of_fdmo(page: Path) -> None:
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("fdmo ")]
    lines += re.findall(r"(?<=`)fdmo [^`\n]+(?=`)", page.read_text())

    for line in lines:
        words = shlex.split(line.partition(" > ")[0], comments=True)
        if words[1].startswith("-"):
            continue
        known = [name for name in COMMANDS if words[: len(name.split())] == name.split()]
        assert known, line
        options = options_of(COMMANDS[max(known, key=len)]) | options_of(app.registered_callback)
        used = {word for word in words if word.startswith("--")}
        assert used <= options | {"--help"}, line


def test_the_tree_of_the_readme_lists_folders_that_exist() -> None:
    text = (ROOT / "README.md").read_text().partition("## What is where")[2]
    tree = text.split("```")[1].splitlines()[1:]

    folders = {line.split()[0] for line in tree}

    assert {"fdmo_core/", "fdmo_plugins/", "cli/", "export/", "tests/", "docs/"} <= folders
    assert all((ROOT / folder).is_dir() for folder in folders)
    assert all(len(line.split()) > 1 for line in tree)


def test_the_readme_shows_both_commands_before_its_first_section() -> None:
    first_screen = (ROOT / "README.md").read_text().partition("\n## ")[0]

    places = [
        first_screen.find(text)
        for text in ("make demo", "make test", "<!-- demo-output -->", "<!-- /demo-output -->")
    ]

    assert -1 not in places
    assert places == sorted(places)


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()

    sections = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)

    assert sections[0] == "[Unreleased]"


@pytest.mark.parametrize("page", sorted(DOCS.glob("decisions/*.md")), ids=named)
def test_a_decision_has_context_decision_and_consequences(page: Path) -> None:
    lines = page.read_text().splitlines()

    sections = [line for line in lines if line.startswith("## ")]

    assert sections == ["## Context", "## Decision", "## Consequences"]
    assert lines[0].startswith(f"# {page.name[:4]}: ")
