from importlib import import_module
from pathlib import Path

import pytest

from fdmo_core.testing import NotApplicable
from fdmo_core.testing.importing import check_is_imported_without_side_effects
from fdmo_core.testing.toys import ToyLossConfig
from fdmo_plugins.losses.cross_entropy import CrossEntropyLoss, CrossEntropyLossConfig

PLUGIN = """
from typing import Literal

import torch
from fdmo_core import ComponentConfig, Loss, hookimpl
{statement}

class Config(ComponentConfig):
    name: Literal["{name}"] = "{name}"

class Mine(Loss):
    config_class = Config

    def forward(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits.float(), labels)

@hookimpl
def register_losses(register):
    register(Mine)
"""


def checked(folder: Path, name: str, statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check a plugin that is installed in a folder, with a statement at its top level."""
    info = folder / f"fdmo_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fdmo-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[fdmo]\n{name} = fdmo_{name}\n")
    (folder / f"fdmo_{name}.py").write_text(PLUGIN.format(name=name, statement=statement))
    monkeypatch.syspath_prepend(str(folder))
    module = import_module(f"fdmo_{name}")
    check_is_imported_without_side_effects(module.Mine, module.Config())


def test_a_plugin_that_is_only_imported_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked(tmp_path, "quiet", "", monkeypatch)


def test_a_plugin_that_prints_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match=r"standard output: 'hello'.* See fdmo_core"):
        checked(tmp_path, "printing", "print('hello')", monkeypatch)


def test_a_plugin_that_changes_global_state_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = "torch.set_num_threads(torch.get_num_threads() + 1)"

    with pytest.raises(AssertionError, match=r"changes global state: .*threads.* See fdmo_core"):
        checked(tmp_path, "changing", threads, monkeypatch)


def test_fdmo_s_own_components_are_not_asked() -> None:
    with pytest.raises(NotApplicable, match="It comes with fdmo itself"):
        check_is_imported_without_side_effects(CrossEntropyLoss, CrossEntropyLossConfig())


def test_a_class_of_no_installed_plugin_is_not_asked() -> None:
    mine = type("Mine", (CrossEntropyLoss,), {"__module__": "mine_of_nobody"})

    with pytest.raises(NotApplicable, match="No installed plugin has the module mine_of_nobody"):
        check_is_imported_without_side_effects(mine, ToyLossConfig())
