"""``fdmo config``: the resolved configuration and the schema."""

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

WRITE_ONE = "Expected a TOML file. Check the path, or write one with 'fdmo config show > run.toml'."


def shown(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    return tomllib.loads(result.stdout)


def test_show_prints_every_section_with_its_defaults(fdmo: Command) -> None:
    content = shown(fdmo("config", "show"))

    assert content["seed"] == 0
    assert content["data"]["name"] == "garments"
    assert content["data"]["imbalance_ratio"] == 100
    assert {"phase1", "dictionary", "rebalancer", "generator", "loss"} <= content.keys()


def test_what_is_shown_is_read_back_as_the_same(fdmo: Command, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(fdmo("config", "show", "--plugin", "focal", "--seed", 5).stdout)

    content = shown(fdmo("config", "show", "--config", file))

    assert content == tomllib.loads(file.read_text())
    assert content["loss"] == {"name": "focal", "gamma": 2.0}


def test_the_command_line_changes_the_file(fdmo: Command, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("seed = 4\n[loss]\nname = 'focal'\ngamma = 1.0\n")
    changes = ("--plugin", "ldam", "--data", ".", "--set", "loss.max_margin=0.25", "--seed=9")

    content = shown(fdmo("config", "show", "--config", "run.toml", *changes, cwd=tmp_path))

    assert content["seed"] == 9
    assert content["data"]["root"] == "."
    assert content["loss"]["name"] == "ldam"
    assert content["loss"]["max_margin"] == 0.25
    assert "gamma" not in content["loss"]


def test_an_unknown_component_suggests_the_closest(fdmo: Command) -> None:
    result = fdmo("config", "show", "--plugin", "convexgam")

    assert result.returncode == 1
    assert result.stderr.startswith("Error: Unknown component 'convexgam'. Registered: ")
    assert "Did you mean 'convexgan'?" in result.stderr


def test_a_file_that_is_missing_or_a_folder_cannot_be_read(fdmo: Command, tmp_path: Path) -> None:
    missing = fdmo("config", "show", "--config", "run.toml", cwd=tmp_path)
    folder = fdmo("config", "show", "--config", tmp_path)

    assert missing.stderr == (
        f"Error: Cannot read run.toml: No such file or directory. {WRITE_ONE}\n"
    )
    assert folder.stderr == f"Error: Cannot read {tmp_path}: Is a directory. {WRITE_ONE}\n"
    assert missing.returncode == folder.returncode == 1


@pytest.mark.parametrize("content", [b"import os\n", b"seed = \xff\n", b"[loss\n", b"\x00\x01"])
def test_a_file_that_is_not_toml_is_an_error(fdmo: Command, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.toml").write_bytes(content)

    result = fdmo("config", "show", "--config", "run.toml", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: run.toml is not TOML: ")
    assert result.stderr.endswith("Correct the line, or begin with 'fdmo config show'.\n")


def test_the_schema_holds_what_is_installed(fdmo: Command) -> None:
    result = fdmo("config", "schema")

    schema = json.loads(result.stdout)
    choices = {choice["$ref"] for choice in schema["properties"]["loss"]["oneOf"]}
    assert {f"#/$defs/{name}" for name in ("focal", "ldam", "cross-entropy")} <= choices
    assert schema["$defs"]["focal"]["properties"]["gamma"]["default"] == 2.0
    assert result.returncode == 0
