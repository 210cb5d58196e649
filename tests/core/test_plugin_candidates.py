"""Plugins are found by what is installed and by the files of a folder; none of their code runs."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fdmo_core.errors import PluginError
from fdmo_core.plugin_candidates import Candidate, find_candidate, find_candidates

Install = Callable[[Path, str, str], None]


def file_candidate(path: Path) -> Candidate:
    return Candidate(path.stem, path.name, "", path)


def test_fdmo_s_own_come_first_then_distributions_then_files(
    tmp_path: Path, install_plugin: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("zebra", "auk"):
        install_plugin(tmp_path / "site", name, "raise RuntimeError")
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("two.py", "one.py", "_shared.py", "notes.txt"):
        (folder / name).write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path / "site")

    found = [one for one in find_candidates([folder]) if not one.is_own]

    assert [one.origin for one in found] == ["fdmo-auk 1.2", "fdmo-zebra 1.2", "one.py", "two.py"]
    assert find_candidates([folder])[0].is_own


def test_the_file_of_a_nested_module_is_found_without_running_the_packages_around_it(
    tmp_path: Path, install_plugin: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin(tmp_path, "outer", "")
    (tmp_path / "outer.py").unlink()
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for package in (inner, inner.parent):
        (package / "__init__.py").write_text("raise RuntimeError")
    (inner / "plugin.py").write_text("raise RuntimeError")
    entry_points = tmp_path / "fdmo_outer-1.2.dist-info" / "entry_points.txt"
    entry_points.write_text("[fdmo]\nouter = outer.inner.plugin\n")
    monkeypatch.syspath_prepend(tmp_path)

    (found,) = (one for one in find_candidates() if one.name == "outer")

    assert found.file() == inner / "plugin.py"
    assert found.roots() == [tmp_path / "outer"]


def test_a_plugin_whose_module_is_gone_has_no_file(
    tmp_path: Path, install_plugin: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin(tmp_path, "vanished", "")
    (tmp_path / "vanished.py").unlink()
    monkeypatch.syspath_prepend(tmp_path)

    (found,) = (one for one in find_candidates() if one.name == "vanished")

    assert (found.file(), found.roots()) == (None, [])


def test_a_damaged_distribution_is_a_plugin_that_names_no_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn-1.dist-info").mkdir()
    (tmp_path / "torn-1.dist-info" / "METADATA").write_text("")
    (tmp_path / "torn-1.dist-info" / "entry_points.txt").write_text("[fdmo]\ntorn = ???\n")
    monkeypatch.syspath_prepend(tmp_path)

    (torn,) = (one for one in find_candidates() if one.name == "torn")

    assert (torn.distribution, torn.version, torn.file()) == ("unknown", "", None)
    with pytest.raises(PluginError, match=r"Its entry point is '\?\?\?'"):
        torn.load()


def test_a_file_is_imported_by_its_name_so_that_workers_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one_file_plugin.py").write_text("VALUE = 3")
    monkeypatch.setattr(sys, "path", [*sys.path])
    candidate = file_candidate(tmp_path.resolve() / "one_file_plugin.py")

    first, again = candidate.load(), candidate.load()

    assert first is again is sys.modules["one_file_plugin"]
    assert sys.path[-1] == str(tmp_path.resolve())
    assert sys.path.count(sys.path[-1]) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("json.py", r"another module 'json' \(.*json.__init__.py\)\. Expected a file name that no"),
        ("sys.py", r"another module 'sys' \(built-in\)\. .* Rename .*sys\.py\."),
        ("my-loss.py", "cannot be imported as 'my-loss'. Expected a name of letters, digits and"),
    ],
)
def test_a_file_that_python_would_not_find_by_its_name_is_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / name).write_text("")

    with pytest.raises(PluginError, match=message):
        file_candidate(tmp_path.resolve() / name).load()

    assert str(tmp_path.resolve()) not in sys.path


def test_one_of_two_files_of_a_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    first, second = (tmp_path.resolve() / folder / "twice_there.py" for folder in ("a", "b"))
    for path in (first, second):
        path.parent.mkdir()
        path.write_text("")

    file_candidate(first).load()

    with pytest.raises(PluginError, match=rf"another module 'twice_there' \({first}\)"):
        file_candidate(second).load()


def test_a_plugin_that_is_not_there_is_refused_with_those_that_are() -> None:
    found = [Candidate("poly", "fdmo-poly", "1.2", Path("poly.py"))]

    assert find_candidate("poly", "fdmo-poly", found) is found[0]
    with pytest.raises(PluginError, match=r"no plugin 'poly' of fdmo\. Expected one of: 'poly' of"):
        find_candidate("poly", "fdmo", found)
