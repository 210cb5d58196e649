"""The command as a whole, in processes that begin with nothing imported."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

INSTALLED = Path(sys.executable).with_name("fdmo")
HELP_IN_A_CHILD = """
import sys
from fdmo_cli.main import main

sys.argv = ["fdmo", *sys.argv[1:], "--help"]
try:
    main()
finally:
    print("torch" in sys.modules, "fdmo_core" in sys.modules, file=sys.stderr)
"""
HELP_FOR: tuple[list[str], ...] = (
    [],
    ["train"],
    ["evaluate"],
    ["reproduce"],
    ["reproduce-run"],
    ["runs", "list"],
    ["data", "check"],
    ["plugins"],
    ["doctor"],
    ["export", "onnx"],
    ["export", "triton"],
    ["bench", "onnx"],
    ["config", "show"],
)


def installed(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(part) for part in (INSTALLED, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", HELP_FOR, ids=" ".join)
def test_help_waits_for_neither_torch_nor_the_engine(command: list[str]) -> None:
    child = [sys.executable, "-c", HELP_IN_A_CHILD, *command]

    result = subprocess.run(child, capture_output=True, text=True, check=True)

    assert result.stderr.splitlines()[-1] == "False False"
    assert " ".join(["Usage: fdmo", *command]) in result.stdout


def test_the_installed_command_lists_its_commands() -> None:
    result = installed("--help")

    listed = [
        line.split()[0] for line in result.stdout.partition("Commands:")[2].split("\n") if line
    ]
    assert listed == [
        *("train", "evaluate", "predict", "verify", "diagnose", "compare", "reproduce"),
        *("reproduce-run", "doctor", "export", "data", "features", "dictionary", "runs"),
        *("plugins", "bench", "config"),
    ]
    assert result.returncode == 0


def test_the_installed_command_ends_an_error_with_one_message_and_code_1(tmp_path: Path) -> None:
    result = installed("evaluate", tmp_path)

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {tmp_path} is not a finished run: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["train", "--epochs", "3"], ["evaluate"]])
def test_a_command_line_that_does_not_exist_is_code_2_with_the_usage(
    fdmo: Command, arguments: list[str]
) -> None:
    result = fdmo(*arguments)

    assert result.returncode == 2
    assert result.stderr.startswith("Usage: fdmo")


def test_control_characters_in_a_message_are_escaped(tmp_path: Path) -> None:
    result = installed("evaluate", tmp_path / "a\x1b[31m\x07\nb")

    assert result.returncode == 1
    assert "a\\x1b[31m\\x07" in result.stderr
    assert "\x1b" not in result.stderr
