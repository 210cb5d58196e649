"""``fdmo doctor`` in processes of its own, some of them with a broken installation."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from fdmo_cli.doctor_checks.finding import Finding, finding_of
from fdmo_cli.doctor_checks.order import CHECKS

Command = Callable[..., subprocess.CompletedProcess[str]]

WITHOUT = """
import sys
from importlib.machinery import PathFinder

hidden = sys.argv.pop(1)

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] != hidden:
            return super().find_spec(name, path, target)

sys.meta_path = [Without if one is PathFinder else one for one in sys.meta_path]
from fdmo_cli.main import main

sys.argv[0] = "fdmo"
main()
"""


def examine(*start: str, folders: Iterable[Path] = ()) -> tuple[dict[str, Any], int]:
    """Return what ``doctor --json`` finds by check, and its exit code; nothing is on stderr.

    Args:
        start: What Python runs.
        folders: Where Python looks for modules first.
    """
    path = os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, *start, "doctor", "--json"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    return {one.pop("check"): one for one in json.loads(result.stdout)}, result.returncode


def installed(folder: Path, name: str, number: str, entry_points: str = "") -> None:
    """Make a folder look as if a distribution were installed there."""
    info = folder / f"{name.replace('-', '_')}-{number}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    (info / "entry_points.txt").write_text(entry_points)


def test_every_check_has_a_line_and_json_says_the_same(fdmo: Command) -> None:
    printed, plain = fdmo("doctor", "--json"), fdmo("doctor")

    rows = json.loads(printed.stdout)
    *lines, last = plain.stdout.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert [row["check"] for row in rows] == list(CHECKS)
    for row, line in zip(rows, heads, strict=True):
        assert row.keys() == {"check", "status", "found", "advice"}
        assert line.startswith(f"{row['status']:<7}  {row['check']}  ")
    counts = [sum(row["status"] == one for row in rows) for one in ("problem", "warning")]
    assert last == f"{counts[0]} problem(s), {counts[1]} warning(s)"
    assert printed.returncode == plain.returncode == int(counts[0] > 0)


def test_it_names_the_versions_that_are_there(fdmo: Command) -> None:
    rows = {row["check"]: row for row in json.loads(fdmo("doctor", "--json").stdout)}

    assert rows["fdmo"]["found"] == version("fdmo")
    assert rows["python"]["found"].startswith(f"{sys.version.split()[0]} at ")
    assert rows["torch"]["found"].startswith(version("torch"))
    assert rows["provider cpu"] == {
        "check": "provider cpu",
        "status": "ok",
        "found": "CPUExecutionProvider starts",
        "advice": "",
    }


def test_without_onnxruntime_it_says_what_to_install_and_goes_on() -> None:
    rows, code = examine("-c", WITHOUT, "onnxruntime")

    assert code == 1
    assert rows.keys() == CHECKS.keys()
    assert rows["provider cpu"]["status"] == "problem"
    assert rows["provider cpu"]["found"].startswith(
        "cannot be checked: MissingRuntimeError: onnxruntime is not installed"
    )
    assert rows["torch"]["status"] == "ok"


def test_a_torch_that_does_not_load_is_a_problem_and_the_rest_is_checked(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libc10.so: invalid ELF header')")

    rows, code = examine("-m", "fdmo_cli", folders=[tmp_path])

    assert code == 1
    assert rows["torch"] == {
        "status": "problem",
        "found": "cannot be imported: OSError: libc10.so: invalid ELF header",
        "advice": "Exported files run without it; for everything else install it again: 'pip "
        "install --force-reinstall torch torchvision'.",
    }
    assert rows["plugins"]["status"] == "problem"
    assert "libc10.so: invalid ELF header" in rows["plugins"]["found"]
    assert rows["provider cpu"]["status"] == "ok"


def test_two_packages_of_onnxruntime_are_a_problem_with_the_commands(tmp_path: Path) -> None:
    installed(tmp_path, "onnxruntime", "1.23.0")
    installed(tmp_path, "onnxruntime-gpu", "1.24.0")

    rows, code = examine("-c", WITHOUT, "torch", folders=[tmp_path])

    assert code == 1
    assert rows["onnxruntime"]["status"] == "problem"
    assert rows["onnxruntime"]["found"] == (
        "onnxruntime 1.23.0 and onnxruntime-gpu 1.24.0 are both installed, and one has overwritten "
        "the other"
    )
    assert rows["onnxruntime"]["advice"].startswith(
        "Run 'pip uninstall --yes onnxruntime onnxruntime-gpu', then 'pip install \"fdmo["
    )


def test_a_plugin_that_does_not_load_is_named_with_its_reason(tmp_path: Path) -> None:
    installed(tmp_path, "fdmo-shop", "2.5", "[fdmo]\nshop = fdmo_shop\n")
    (tmp_path / "fdmo_shop.py").write_text("raise RuntimeError('no licence')")

    rows, code = examine("-m", "fdmo_cli", folders=[tmp_path])

    assert code == 1
    assert rows["plugins"]["status"] == "problem"
    assert rows["plugins"]["found"].endswith(
        f" components. Plugin 'shop' of fdmo-shop 2.5 is left out ({tmp_path / 'fdmo_shop.py'}, "
        "line 1): RuntimeError: no licence."
    )
    assert rows["plugins"]["advice"] == "Repair or uninstall the distribution that each line names."


def test_a_check_that_fails_itself_is_a_problem_with_the_reason() -> None:
    def check() -> Finding:
        raise PermissionError("no\n  entry")

    found = finding_of(check)

    assert (found.status, found.found) == (
        "problem",
        "cannot be checked: PermissionError: no entry",
    )


@pytest.mark.parametrize("name", list(CHECKS))
def test_every_check_finds_something_here(name: str) -> None:
    found = CHECKS[name]()

    assert found.found
    assert bool(found.advice) == (found.status != "ok")
