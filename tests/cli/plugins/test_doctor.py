"""``fdmo plugins doctor``: what is wrong with each plugin, where, and what to do."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fdmo_cli.plugins.doctor import finding_on
from fdmo_core.plugin_probe import PluginReport

Python = Callable[..., subprocess.CompletedProcess[str]]
Rows = Mapping[str, Mapping[str, Any]]
DOCTOR = ("-m", "fdmo_cli", "plugins", "doctor")
FINE = PluginReport("poly", "fdmo-poly", "1.2", 0.2, components=("poly",))


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    install_plugin: Callable[[Path, str, str], None],
    loss_source: Callable[[str], str],
) -> Path:
    folder = tmp_path_factory.mktemp("site")
    sources = {
        "clashes": loss_source("focal"),
        "fine": loss_source("fine"),
        "hangs": "import time\ntime.sleep(600)\n",
        "left": loss_source("left"),
        "raises": "raise RuntimeError('no licence')\n",
        "seeds": "import torch\ntorch.manual_seed(3)\n" + loss_source("seeds"),
        "speaks": "print('hello')\n" + loss_source("speaks"),
    }
    for name, source in sources.items():
        install_plugin(folder, name, source)
    return folder


@pytest.fixture(scope="module")
def examined(site: Path, python_beside: Python) -> tuple[Rows, int]:
    arguments = ("--json", "--seconds", "3", "--no-plugin", "fdmo-left")
    result = python_beside(site, *DOCTOR, *arguments)
    return {row["plugin"]: row for row in json.loads(result.stdout)}, result.returncode


@pytest.mark.parametrize(
    ("plugin", "status", "found", "advice"),
    [
        ("fine", "ok", "supplies fine; imported in 0.0", ""),
        ("left", "ok", "left out as asked, by --no-plugin, FDMO_NO_PLUGIN or FDMO_PLUGINS", ""),
        ("raises", "problem", "does not load ({file}, line 1): RuntimeError: no l", "Repair it t"),
        ("hangs", "problem", "hangs: it was stopped after 3 s ({file}, line 2)", "Let it wait in"),
        (
            "clashes",
            "problem",
            "does not load: 'focal' is the name of a component of fdmo too",
            "Change the name in its config class, or leave it out with '--no-plugin fdmo-clashes'.",
        ),
        (
            "seeds",
            "problem",
            "changes at import ({file}, line 2): torch's seed, torch's random state",
            "All of fdmo then computes otherwise",
        ),
        (
            "speaks",
            "warning",
            "writes to standard output at import ({file}, line 1): hello",
            "fdmo sends it to standard error",
        ),
    ],
)
def test_each_plugin_is_judged_by_what_it_does_at_import(
    examined: tuple[Rows, int], site: Path, plugin: str, status: str, found: str, advice: str
) -> None:
    row = examined[0][plugin]

    assert row["status"] == status
    assert row["found"].startswith(found.format(file=site / f"{plugin}.py"))
    assert row["advice"].startswith(advice)
    assert bool(row["advice"]) == bool(advice)


def test_a_broken_plugin_makes_exit_code_1(examined: tuple[Rows, int]) -> None:
    assert examined[1] == 1


def test_sound_plugins_are_told_a_line_each_with_code_0(site: Path, python_beside: Python) -> None:
    result = python_beside(site, *DOCTOR, FDMO_PLUGINS="fine")

    lines = result.stdout.splitlines()
    assert result.returncode == 0
    assert lines[-1].startswith("ok       'fine' of fdmo-fine 1.2: supplies fine; imported in 0.0")
    assert [line.split("'")[1] for line in lines] == [
        *("clashes", "hangs", "left", "raises", "seeds", "speaks", "fine"),
    ]


def test_one_of_two_plugins_with_a_component_of_one_name_does_not_load() -> None:
    finding = finding_on(FINE, {"poly": "fdmo-other"})

    assert finding.found == "does not load: 'poly' is the name of a component of fdmo-other too"


def test_a_slow_import_is_a_warning() -> None:
    slow = PluginReport("poly", "fdmo-poly", "1.2", 6.0, components=("poly",))

    assert finding_on(FINE, {}).status == "ok"
    assert finding_on(slow, {}).status == "warning"
    assert "which every command waits for" in finding_on(slow, {}).found


def test_a_file_has_no_other_version_to_install() -> None:
    broken = PluginReport("poly", "poly.py", "", error="RuntimeError: no licence")

    assert finding_on(broken, {}).advice == (
        "Repair it there, or leave it out with '--no-plugin poly.py'."
    )
