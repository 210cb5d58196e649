"""What the environment says of plugins: which are loaded, which not, which folders have some."""

import os
from pathlib import Path

import pytest

from fdmo_core.errors import ConfigError
from fdmo_core.plugin_candidates import Candidate
from fdmo_core.plugin_selection import PluginSelection

FOUND = [
    Candidate(name, distribution, version, Path(f"{name}.py"))
    for name, distribution, version in (
        ("losses", "fdmo", "0.1"),
        ("poly", "fdmo-poly", "1.2"),
        ("see", "Fdmo_Seesaw", "1.2"),
        ("saw", "Fdmo_Seesaw", "1.2"),
        ("mine", "mine.py", ""),
    )
]


def kept(**environ: str) -> list[str]:
    loaded, left_out = PluginSelection.from_environ(environ).split(FOUND)
    assert sorted(one.name for one in [*loaded, *left_out]) == sorted(one.name for one in FOUND)
    return [one.name for one in loaded]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ["losses", "poly", "see", "saw", "mine"]),
        ({"FDMO_PLUGINS": "", "FDMO_NO_PLUGIN": ""}, ["losses", "poly", "see", "saw", "mine"]),
        ({"FDMO_PLUGINS": "fdmo-poly, mine"}, ["losses", "poly", "mine"]),
        ({"FDMO_PLUGINS": "fdmo"}, ["losses"]),
        ({"FDMO_PLUGINS": "fdmo-seesaw"}, ["losses", "see", "saw"]),
        ({"FDMO_PLUGINS": "saw"}, ["losses", "saw"]),
        ({"FDMO_NO_PLUGIN": "fdmo.seesaw,mine.py"}, ["losses", "poly"]),
        ({"FDMO_PLUGINS": "fdmo-seesaw", "FDMO_NO_PLUGIN": "see"}, ["losses", "saw"]),
    ],
)
def test_plugins_are_named_by_distribution_or_entry_point(
    environ: dict[str, str], expected: list[str]
) -> None:
    assert kept(**environ) == expected


def test_an_unknown_name_is_refused_with_the_closest_one() -> None:
    with pytest.raises(ConfigError) as caught:
        kept(FDMO_NO_PLUGIN="fdmo-poli")

    assert str(caught.value) == (
        "Unknown plugin 'fdmo-poli' in --no-plugin (FDMO_NO_PLUGIN). Expected the distribution or "
        "the name of one of: fdmo-poly, poly, Fdmo_Seesaw, see, saw, mine.py, mine. Did you mean "
        "'fdmo-poly'? Correct the name, or leave it out; 'fdmo plugins' lists what is installed."
    )
    with pytest.raises(ConfigError, match=r"Unknown plugin 'xyz' in FDMO_PLUGINS\. Expected"):
        kept(FDMO_PLUGINS="xyz")


@pytest.mark.parametrize("name", ["fdmo", "losses"])
def test_fdmo_s_own_plugins_cannot_be_left_out(name: str) -> None:
    with pytest.raises(ConfigError, match=f"Unknown plugin '{name}' in --no-plugin"):
        kept(FDMO_NO_PLUGIN=name)


def test_folders_are_read_once_each_in_the_order_given(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    given = os.pathsep.join([f"{tmp_path}/b", "", f"{tmp_path}/a", f"{tmp_path}/a/../b"])

    selection = PluginSelection.from_environ({"FDMO_PLUGINS_DIR": given})

    assert selection.folders == (tmp_path.resolve() / "b", tmp_path.resolve() / "a")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no folder .*gone to take plugins from\. Expected one"):
        PluginSelection.from_environ({"FDMO_PLUGINS_DIR": str(tmp_path / "gone")})
