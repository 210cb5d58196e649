"""The version that a plugin was built for is read from its source, which does not run."""

from pathlib import Path

import pytest

from fdmo_core.api_version import API_VERSION, require_same_version
from fdmo_core.errors import PluginError

CRASH = "\nraise RuntimeError\n"


@pytest.mark.parametrize(
    "source",
    [
        f"FDMO_API = {API_VERSION}",
        f"FDMO_API: int = {API_VERSION}",
        "",
        "# FDMO_API = 2",
        "def f():\n    FDMO_API = 2",
        "FDMO_API = = 2",
    ],
)
def test_the_same_version_none_and_a_file_that_does_not_parse_pass(
    tmp_path: Path, source: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(source + CRASH)

    require_same_version(file, "fdmo-mine 1.2")


def test_a_newer_version_is_refused_with_both_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("FDMO_API = 2" + CRASH)

    with pytest.raises(PluginError) as caught:
        require_same_version(file, "fdmo-mine 1.2")

    assert str(caught.value) == (
        f"fdmo-mine 1.2 is built for version 2 of fdmo's plugin interface, and the installed fdmo "
        f"has version 1. Expected FDMO_API = 1 in {file}. Install a fdmo with version 2 ('pip "
        f"install --upgrade fdmo'), or leave the plugin out with --no-plugin."
    )


def test_an_older_version_asks_for_a_newer_plugin(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("FDMO_API = 0" + CRASH)

    with pytest.raises(PluginError, match=r"Install a newer fdmo-mine, or leave the plugin out"):
        require_same_version(file, "fdmo-mine 1.2")


@pytest.mark.parametrize("value", ["'1'", "True", "1.0", "VERSION", "(1, 2)"])
def test_a_version_that_is_no_number_is_refused(tmp_path: Path, value: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"\nFDMO_API = {value}" + CRASH)

    with pytest.raises(PluginError, match=rf"FDMO_API in line 2 of {file} is no whole number\. Ex"):
        require_same_version(file, "fdmo-mine 1.2")


def test_a_compiled_module_counts_as_version_1(tmp_path: Path) -> None:
    file = tmp_path / "mine.so"
    file.write_bytes(b"\x7fELF FDMO_API = 2")

    require_same_version(file, "fdmo-mine 1.2")
