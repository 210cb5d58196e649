"""``fdmo plugins check``: a report on each check, for people and for machines."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fdmo_core.testing import checks_for

Command = Callable[..., subprocess.CompletedProcess[str]]

GOOD = """
from typing import Literal
import torch.nn.functional as F
from fdmo_core import ComponentConfig, Loss, hookimpl

class Config(ComponentConfig):
    name: Literal["good"] = "good"
    epsilon: float = 1.0

class GoodLoss(Loss):
    config_class = Config

    def forward(self, logits, labels):
        return F.cross_entropy(logits.float(), labels, reduction="none").mul(2).mean()

@hookimpl
def register_losses(register):
    register(GoodLoss)
"""
BAD = (
    GOOD.replace("good", "bad").replace(".mean()", ".sum()")
    + """
import random
random.seed(0)
"""
)


@pytest.fixture
def installed(tmp_path: Path) -> Command:
    """A function that runs ``fdmo`` in a process of its own beside a good and a bad plugin."""
    for name, source in {"good": GOOD, "bad": BAD}.items():
        info = tmp_path / f"fdmo_{name}-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fdmo-{name}\nVersion: 2.5\n")
        (info / "entry_points.txt").write_text(f"[fdmo]\n{name} = fdmo_{name}\n")
        (tmp_path / f"fdmo_{name}.py").write_text(source)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = str(Path(sys.executable).with_name("fdmo"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": paths.rstrip(os.pathsep)}
        return subprocess.run(
            [command, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_a_good_plugin_passes_with_a_line_a_check(installed: Command) -> None:
    result = installed("plugins", "check", "good", "--set", "epsilon=2")

    heading, *lines, last = result.stdout.splitlines()
    assert result.returncode == 0, result.stdout + result.stderr
    assert heading == "good (loss) of fdmo-good 2.5"
    assert "  It is constructed from its config and the class counts, one of" in lines[0]
    assert lines[0].startswith("  passed ")
    texts = [line[27:] for line in lines if line[2:8] in {"passed", "failed", "not ap"}]
    assert texts == [(check.__doc__ or "").partition("\n")[0] for check in checks_for("loss")]
    assert ", 0 failed, " in last


def test_what_is_not_fdmo_s_own_is_checked_and_a_bad_one_fails_with_reasons(
    installed: Command,
) -> None:
    result = installed("plugins", "check", "--json")

    reports = {one["distribution"]: one for one in json.loads(result.stdout)}
    assert result.returncode == 1
    assert reports.keys() == {"fdmo-good", "fdmo-bad"}
    failed = {
        name: {one["check"]: one["reason"] for one in report["checks"] if one["status"] == "failed"}
        for name, report in reports.items()
    }
    assert failed["fdmo-good"] == {}
    assert failed["fdmo-bad"].keys() == {
        "check_is_a_mean_over_the_batch",
        "check_is_imported_without_side_effects",
    }
    assert "Expected the mean over the batch. See fdmo_core.Loss.forward." in "".join(
        failed["fdmo-bad"].values()
    )


def test_a_distribution_stands_for_all_its_components(fdmo: Command) -> None:
    result = fdmo("plugins", "check", "fdmo-nowhere")

    assert result.returncode == 1
    assert result.stderr.startswith("Error: Unknown component 'fdmo-nowhere'. Registered: ")


def test_a_component_that_needs_settings_says_how_to_pass_them(fdmo: Command) -> None:
    result = fdmo("plugins", "check", "folder", "--json")

    ((outcome,),) = [one["checks"] for one in json.loads(result.stdout)]
    assert result.returncode == 1
    assert (outcome["check"], outcome["status"]) == ("check_is_built_from_its_config", "failed")
    assert outcome["reason"].startswith("data.root is empty.")
    assert outcome["reason"].endswith("Pass the settings that it needs, each with --set key=value.")


def test_settings_reach_the_component(fdmo: Command) -> None:
    result = fdmo("plugins", "check", "focal", "--set", "gamma=-1", "--json")

    ((outcome,),) = [one["checks"] for one in json.loads(result.stdout)]
    assert outcome["reason"].startswith("The config is refused: gamma: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["focal", "--set", "loss.gamma=2"], "'--set loss.gamma=2' does not say what to change"),
        (["focal", "--set", "gamma"], "'--set gamma' does not say what to change"),
        (["--all", "--set", "gamma=2"], "Expected key=value, without a section, and one component"),
        (["focal", "--all"], "'focal' is given beside --all. Expected one of them."),
        ([], "Every component that is loaded is fdmo's own. Expected another plugin to check."),
    ],
)
def test_what_cannot_be_meant_is_refused(fdmo: Command, arguments: list[str], message: str) -> None:
    result = fdmo("plugins", "check", *arguments)

    assert result.returncode == 1
    assert message in result.stderr
