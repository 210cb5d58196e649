"""The options that choose plugins stand before or after a command's name, whatever the command."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fdmo_cli.plugins.choice import to_the_front

Command = Callable[..., subprocess.CompletedProcess[str]]
Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("train --plugin focal", "train --plugin focal"),
        ("plugins list --no-plugin a --json", "--no-plugin a plugins list --json"),
        ("train --plugins-dir=x --no-plugin=b", "--plugins-dir=x --no-plugin=b train"),
        ("--no-plugin a train --no-plugin b", "--no-plugin a --no-plugin b train"),
        ("predict run -- --no-plugin a", "predict run -- --no-plugin a"),
        ("train --no-plugin", "--no-plugin"),
    ],
)
def test_they_move_before_the_command_in_their_order(given: str, expected: str) -> None:
    assert to_the_front(given.split()) == expected.split()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--plugins-dir", "{}", "config", "show", "--plugin", "tern"),
        ("config", "--plugins-dir", "{}", "show", "--plugin", "tern"),
        ("config", "show", "--plugin", "tern", "--plugins-dir={}"),
    ],
)
def test_a_component_of_a_folder_is_found_wherever_the_option_stands(
    fdmo: Command, tmp_path: Path, loss_source: Callable[[str], str], arguments: tuple[str, ...]
) -> None:
    (tmp_path / "tern.py").write_text(loss_source("tern"))

    result = fdmo(*(one.format(tmp_path) for one in arguments))

    assert result.returncode == 0, result.stderr
    assert 'name = "tern"' in result.stdout


def test_folders_add_up_and_are_relative_to_where_the_command_runs(
    fdmo: Command, tmp_path: Path, loss_source: Callable[[str], str]
) -> None:
    for name in ("auk", "ibis"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_loss.py").write_text(loss_source(name))

    result = fdmo("plugins", "--json", "--plugins-dir", "auk", "--plugins-dir=ibis", cwd=tmp_path)

    rows = {row["name"]: row["distribution"] for row in json.loads(result.stdout)}
    assert (rows["auk"], rows["ibis"]) == ("auk_loss.py", "ibis_loss.py")


def test_an_unknown_name_ends_the_command(fdmo: Command) -> None:
    result = fdmo("plugins", "--no-plugin", "fdmo-poly")

    assert result.returncode == 1
    assert result.stderr.startswith("Error: Unknown plugin 'fdmo-poly' in --no-plugin")


@pytest.mark.parametrize("option", ["--plugins-dir", "--no-plugin"])
def test_an_empty_value_is_refused_and_no_file_of_the_current_folder_is_run(
    fdmo: Command, tmp_path: Path, option: str
) -> None:
    (tmp_path / "build.py").write_text("raise SystemExit(9)")

    result = fdmo("plugins", f"{option}=", cwd=tmp_path)

    assert result.returncode == 2
    assert f"{option} is empty." in " ".join(result.stderr.split())
    assert "build" not in result.stderr


def test_an_option_without_its_value_is_code_2(fdmo: Command) -> None:
    result = fdmo("train", "--no-plugin")

    assert result.returncode == 2
    assert "'--no-plugin' requires an argument" in result.stderr


def test_worker_processes_load_the_same_plugins(
    tmp_path: Path, python_beside: Python, loss_source: Callable[[str], str]
) -> None:
    (tmp_path / "tern.py").write_text(loss_source("tern"))
    script = tmp_path / "_script.py"
    script.write_text(
        "import sys\n"
        "from fdmo_cli.comparison.workers import local_workers\n"
        "from fdmo_cli.plugins.choice import choose_plugins\n"
        "from fdmo_core.plugin_loading import load_plugins\n"
        "from pathlib import Path\n"
        "def names():\n"
        "    return 'tern' in load_plugins().components\n"
        "if __name__ == '__main__':\n"
        "    choose_plugins(plugins_dir=[Path(sys.argv[1])])\n"
        "    with local_workers(1) as pool:\n"
        "        print(pool.submit(names).result())\n"
    )

    result = python_beside(tmp_path, script, tmp_path)

    assert result.stdout == "True\n", result.stderr


def test_help_imports_no_plugin(
    tmp_path: Path, python_beside: Python, install_plugin: Callable[[Path, str, str], None]
) -> None:
    for number in range(20):
        install_plugin(tmp_path, f"mine{number}", "raise SystemExit(9)")
    (tmp_path / "typo.py").write_text("raise SystemExit(9)")
    code = (
        "import sys\n"
        "from fdmo_cli.main import main\n"
        "sys.argv = ['fdmo', '--plugins-dir', sys.argv[1], '--help']\n"
        "try:\n    main()\n"
        "finally:\n    print([one for one in sys.modules if one.startswith(('mine', 'typo', "
        "'torch', 'fdmo_core', 'fdmo_plugins'))], file=sys.stderr)\n"
    )

    result = python_beside(tmp_path, "-c", code, tmp_path)

    assert result.returncode == 0
    assert "--no-plugin DIST" in result.stdout
    assert "--plugins-dir DIR" in result.stdout
    assert result.stderr == "[]\n"
