"""Plugins as they are installed: real distributions, whose entry points another process reads."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fdmo_core import Loss, hookimpl
from fdmo_core.errors import PluginError
from fdmo_core.plugin_loading import load_plugins
from fdmo_plugins import losses

LIST_PLUGINS = """
import json
from fdmo_core.plugin_loading import load_plugins

loaded = load_plugins()
components = {one.name: [one.distribution, one.version] for one in loaded.components.values()}
print(json.dumps({"components": components, "failures": list(map(str, loaded.failures))}))
"""
LOSS = (Path(__file__).parents[1] / "one_loss.txt").read_text()
Install = Callable[[Path, str, str], None]
Python = Callable[..., subprocess.CompletedProcess[str]]
HOOKS = (
    "register_datasets, register_extractors, register_landmark_heads, register_dictionaries, "
    "register_generators, register_losses, register_rebalancers"
)


def swapped(old: str, new: str, name: str = "broken") -> str:
    source = LOSS.format(name=name)
    assert old in source
    return source.replace(old, new)


BROKEN = {
    "raises": ("raise RuntimeError('no\\n licence')", "RuntimeError: no licence"),
    "exits": ("raise SystemExit('needs a GPU')", "SystemExit: needs a GPU"),
    "misspells": (
        swapped("register_losses", "register_loses"),
        f"unknown hook 'register_loses' ... Expected hooks among: {HOOKS}.",
    ),
    "other_argument": (
        swapped("(register)", "(registrar)"),
        f"Plugin 'other_argument' for hook 'register_losses' ... registrar ... among: {HOOKS}.",
    ),
    "registers_nothing": (
        "from fdmo_core import hookimpl",
        f"It registers no component. Expected at least one function marked with hookimpl in the "
        f"module of the plugin, named as one of: {HOOKS}. Add it, or correct the entry point.",
    ),
    "repeats": (
        LOSS.format(name="focal"),
        "loss 'focal' (repeats.Mine) has the name of another component, the loss of fdmo "
        "(fdmo_plugins.losses.focal.FocalLoss). Expected a name that is unique over all kinds. "
        "Change the name in its config class.",
    ),
    "wrong_kind": (
        swapped("register_losses", "register_datasets"),
        "register_datasets got <class 'wrong_kind.Mine'>. Expected a complete subclass of "
        "fdmo_core.Dataset. Derive it from fdmo_core.Dataset, or use the hook of its kind.",
    ),
    "gives_instance": (
        swapped("register(Mine)", "register(3)"),
        "register_losses got 3. Expected a complete subclass of fdmo_core.Loss. Register the class "
        "itself.",
    ),
    "is_abstract": (
        swapped("def forward", "def backward"),
        "is_abstract.Mine does not define forward. Expected a complete subclass of fdmo_core.Loss. "
        "Define what is missing.",
    ),
    "has_no_config": (
        swapped("config_class = Config", "pass"),
        "has_no_config.Mine has no config class. Expected config_class to be a subclass of "
        "fdmo_core.ComponentConfig. Derive it from that, and set it on the class.",
    ),
    "fixes_no_name": (
        swapped('Literal["broken"]', "str"),
        "fixes_no_name.Config does not fix a name. Expected a first field such as name: "
        'Literal["mine"] = "mine". Add it.',
    ),
    "is_not_frozen": (
        swapped("class Config(ComponentConfig):", "class Config(ComponentConfig, frozen=False):"),
        "is_not_frozen.Config is not frozen or allows unknown keys. Expected the model_config of "
        "fdmo_core.ComponentConfig. Do not override frozen and extra.",
    ),
    "too_new": (
        "FDMO_API = 2\nraise RuntimeError('runs')",
        "fdmo-too-new 1.2 is built for version 2 of fdmo's plugin interface, and the installed "
        "fdmo has version 1. Expected FDMO_API = 1 ... "
        "Install a fdmo with version 2 ... --no-plugin.",
    ),
    "strange_config": (
        swapped("class Config(ComponentConfig):", "class Config:"),
        "strange_config.Mine has the config class <class 'strange_config.Config'>. Expected "
        "config_class to be a subclass of fdmo_core.ComponentConfig. Derive it from that, and set "
        "it on the class.",
    ),
    "unmarked": (
        swapped("@hookimpl\n", ""),
        "It registers no component, though it has register_losses. Expected a function of that "
        "name that is marked with hookimpl and registers a class. Write @hookimpl above it, or "
        "have it call register.",
    ),
    "raises_anything": (
        "class Odd(BaseException):\n    def __str__(self): raise RuntimeError\n\nraise Odd",
        "raises_anything.Odd: <exception str() failed>",
    ),
    "talks_at_length": (
        "raise ValueError('\\x1b[31m' + 'a' * 5000)",
        f"ValueError: [31m{'a' * 984} ...",
    ),
    "half_good": (
        LOSS.format(name="half") + "    register(None)\n",
        "register_losses got None. Expected a complete subclass of fdmo_core.Loss. Register the "
        "class itself.",
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, install_plugin: Install) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for module, (source, _) in BROKEN.items():
        install_plugin(folder, module, source)
    install_plugin(folder, "vanished", "")
    (folder / "vanished.py").unlink()
    install_plugin(folder, "works", LOSS.format(name="works"))
    return folder


@pytest.fixture(scope="module")
def loaded(site: Path, python_beside: Python) -> dict[str, Any]:
    result = python_beside(site, "-c", LIST_PLUGINS)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("module", list(BROKEN))
def test_a_broken_plugin_is_left_out_with_distribution_and_reason_in_one_line(
    loaded: dict[str, Any], site: Path, module: str
) -> None:
    start = f"Plugin '{module}' of fdmo-{module.replace('_', '-')} 1.2 is left out ("
    parts = map(re.escape, BROKEN[module][1].split(" ... "))  # pluggy words the gaps

    (line,) = (line for line in loaded["failures"] if line.startswith(start))
    place, _, reason = line.removeprefix(start).partition("): ")
    assert place.startswith(str(site / f"{module}.py"))
    assert re.fullmatch(".*".join(parts), reason)


def test_a_plugin_whose_module_is_gone_is_left_out(loaded: dict[str, Any]) -> None:
    assert (
        "Plugin 'vanished' of fdmo-vanished 1.2 is left out: ModuleNotFoundError: No module named "
        "'vanished'" in loaded["failures"]
    )


def test_everything_else_still_works(loaded: dict[str, Any]) -> None:
    alone = load_plugins(installed=True).components

    assert loaded["components"]["works"] == ["fdmo-works", "1.2"]
    assert loaded["components"].keys() == alone.keys() | {"works"}
    assert loaded["components"]["focal"][0] == "fdmo"


def test_failures_come_in_order_of_distribution_once_each(loaded: dict[str, Any]) -> None:
    distributions = [failure.split()[3] for failure in loaded["failures"]]

    assert distributions == sorted(set(distributions))
    assert len(distributions) == len(BROKEN) + 1


def test_nothing_of_a_half_good_plugin_is_taken(loaded: dict[str, Any]) -> None:
    assert "half" not in loaded["components"]


def test_a_run_that_needs_a_missing_component_says_what_failed(
    site: Path, python_beside: Python
) -> None:
    command = "from fdmo_cli.main import main; main()"

    result = python_beside(site, "-c", command, "config", "show", "--plugin", "half")

    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1
    assert last.startswith("Error: Unknown component 'half'.")
    assert "Plugin 'half_good' of fdmo-half-good 1.2 is left out (" in last
    assert "half_good.py, line 16): register_losses got None." in last
    assert "Traceback" not in result.stderr


def test_what_a_plugin_writes_at_import_stays_off_stdout(
    tmp_path: Path, install_plugin: Install, python_beside: Python
) -> None:
    install_plugin(tmp_path, "prints", "print('hello')\n" + LOSS.format(name="prints"))

    result = python_beside(tmp_path, "-c", LIST_PLUGINS)

    assert "prints" in json.loads(result.stdout)["components"]
    assert result.stderr == "hello\n"


def test_the_environment_narrows_what_is_loaded_and_adds_folders(
    tmp_path: Path, install_plugin: Install, python_beside: Python
) -> None:
    for name in ("auk", "ibis"):
        install_plugin(tmp_path / "site", name, LOSS.format(name=name))
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "tern.py").write_text(LOSS.format(name="tern"))
    variables = {"FDMO_NO_PLUGIN": "fdmo-ibis", "FDMO_PLUGINS_DIR": str(folder)}

    found = json.loads(python_beside(tmp_path / "site", "-c", LIST_PLUGINS, **variables).stdout)

    assert found["failures"] == []
    assert {name: found["components"].get(name) for name in ("auk", "ibis", "tern")} == {
        "auk": ["fdmo-auk", "1.2"],
        "ibis": None,
        "tern": ["tern.py", ""],
    }


def test_a_run_that_needs_a_plugin_that_was_left_out_says_so(
    tmp_path: Path, install_plugin: Install, python_beside: Python
) -> None:
    install_plugin(tmp_path, "auk", LOSS.format(name="auk"))
    command = "from fdmo_cli.main import main; main()"

    result = python_beside(
        tmp_path, "-c", command, "config", "show", "--no-plugin", "fdmo-auk", "--plugin", "auk"
    )

    assert result.returncode == 1
    assert result.stderr.endswith(" Plugin 'auk' of fdmo-auk 1.2 is left out as asked.\n")


def test_strict_plugins_make_any_failure_fatal(
    tmp_path: Path, install_plugin: Install, python_beside: Python
) -> None:
    install_plugin(tmp_path, "raises", BROKEN["raises"][0])

    result = python_beside(tmp_path, "-c", LIST_PLUGINS, FDMO_STRICT_PLUGINS="1")

    assert result.returncode == 1
    assert result.stderr.endswith(
        f"PluginError: Plugin 'raises' of fdmo-raises 1.2 is left out ({tmp_path / 'raises.py'}, "
        "line 1): RuntimeError: no licence\n"
        "FDMO_STRICT_PLUGINS=1 makes this fatal. Repair or uninstall the distribution, or unset "
        "the variable.\n"
    )


def broken_module() -> ModuleType:
    module = ModuleType("mine")
    abstract: Any = Loss

    @hookimpl
    def register_losses(register: Callable[[type[Loss]], None]) -> None:
        register(abstract)

    module.__dict__["register_losses"] = register_losses
    return module


def test_failures_are_fatal_only_where_the_variable_is_1() -> None:
    with pytest.raises(PluginError, match="FDMO_STRICT_PLUGINS=1 makes this fatal"):
        load_plugins([broken_module()], installed=False, environ={"FDMO_STRICT_PLUGINS": "1"})

    for environ in ({}, {"FDMO_STRICT_PLUGINS": "0"}):
        assert len(load_plugins([broken_module()], installed=False, environ=environ).failures) == 1


def test_strictness_changes_nothing_where_no_plugin_fails() -> None:
    strict = {"FDMO_STRICT_PLUGINS": "1"}

    assert "ldam" in load_plugins([losses], installed=False, environ=strict).components


def test_a_plugin_that_is_passed_in_counts_as_not_installed() -> None:
    plugins = load_plugins([losses, broken_module()], installed=False)

    assert {one.distribution for one in plugins.components.values()} == {"(not installed)"}
    assert str(plugins.failures[0]).startswith("Plugin 'mine' of (not installed) is left out: ")


def test_two_plugins_cannot_share_a_name() -> None:
    copy = ModuleType("copy_of_losses")
    copy.__dict__["register_losses"] = losses.register_losses

    plugins = load_plugins([losses, copy], installed=False)

    assert "ldam" in plugins.components
    assert "cross-entropy' (fdmo_plugins.losses.cross_entropy.CrossEntropyLoss) has the name" in (
        plugins.failures[0].reason
    )


def test_fdmo_s_own_plugins_are_all_installed_and_sound() -> None:
    plugins = load_plugins()

    own = {one.name for one in plugins.components.values() if one.distribution == "fdmo"}
    assert own >= {"garments", "small-vgg", "ldm", "memory", "convexgan", "ldam", "adversarial"}
    assert not [failure for failure in plugins.failures if failure.distribution == "fdmo"]
