"""Names of new plugins, and files that appear whole or not at all."""

import re
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdmo_cli.plugins.skeleton import Names, plugin_files, write_plugin
from fdmo_core.errors import ConfigError, RunFolderError
from fdmo_core.kinds import KINDS
from fdmo_core.plugin_loading import LoadedPlugins
from fdmo_core.registry import Registry

NOTHING_TAKEN = Registry(LoadedPlugins())


def test_names_are_derived_from_that_of_the_component() -> None:
    assert Names.of("soft-labels2", "loss", NOTHING_TAKEN) == Names(
        name="soft-labels2",
        kind="loss",
        distribution="fdmo-soft-labels2",
        module="fdmo_soft_labels2",
        class_name="SoftLabels2",
        selection='[loss]\nname = "soft-labels2"',
    )


def test_an_extractor_is_chosen_for_both_streams() -> None:
    names = Names.of("three-convs", "extractor", NOTHING_TAKEN)

    assert names.selection == (
        '[texture_stream]\nname = "three-convs"\n\n[shape_stream]\nname = "three-convs"'
    )


@given(st.text(max_size=12) | st.from_regex(r"[fdmoFA3_.-]{1,12}", fullmatch=True))
def test_a_name_is_taken_as_it_is_or_refused_with_one_that_is(name: str) -> None:
    try:
        names = Names.of(name, "loss", NOTHING_TAKEN)
    except ConfigError as error:
        if "no name for a component" in str(error):
            (better,) = re.findall(r"Try '(.*)'\.$", str(error))
            assert not re.search("is no name", _refusal(better))
    else:
        assert re.fullmatch("[a-z][a-z0-9-]*", name)
        assert names.module.isidentifier()


def _refusal(name: str) -> str:
    try:
        Names.of(name, "loss", NOTHING_TAKEN)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["loss", "true", "f", "component", "value-error"])
def test_a_class_does_not_hide_what_it_is_written_with(name: str) -> None:
    with pytest.raises(ConfigError, match="called that it is written with") as caught:
        Names.of(name, "loss", NOTHING_TAKEN)

    assert str(caught.value).endswith(f"Say more, for instance 'my-{name}'.")
    Names.of(f"my-{name}", "loss", NOTHING_TAKEN)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_no_place_is_left_to_fill_in(kind: str) -> None:
    files = plugin_files(Names.of("mine", kind, NOTHING_TAKEN), one_file=False)

    for path, text in files.items():
        places = re.findall(r"\$\w+|\$\{\w+\}", text)
        assert not places, f"{path} holds {places}"
    assert "${{ matrix.python }}" in files[PurePosixPath("fdmo-mine/.github/workflows/ci.yml")]


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_a_plugin_of_one_file_is_the_module_of_the_package(kind: str) -> None:
    names = Names.of("soft-labels", kind, NOTHING_TAKEN)

    alone = Names.of("soft-labels", kind, NOTHING_TAKEN, one_file=True)
    ((path, text),) = plugin_files(alone, one_file=True).items()

    package = plugin_files(names, one_file=False)
    assert path == PurePosixPath("soft_labels.py")
    assert text == package[PurePosixPath("fdmo-soft-labels/fdmo_soft_labels/__init__.py")]


def test_files_are_written_below_the_folder(tmp_path: Path) -> None:
    files = {PurePosixPath("new/a.txt"): "ä\n", PurePosixPath("new/sub/.b"): ""}

    written = write_plugin(tmp_path / "made", files)

    assert written == [tmp_path / "made/new/a.txt", tmp_path / "made/new/sub/.b"]
    assert [path.read_text(encoding="utf-8") for path in written] == ["ä\n", ""]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["new"]


@pytest.mark.parametrize("there", ["folder", "file", "dangling link"])
def test_what_is_there_is_not_overwritten(there: str, tmp_path: Path) -> None:
    target = tmp_path / "new"
    match there:
        case "folder":
            target.mkdir()
        case "file":
            target.write_text("mine")
        case _:
            target.symlink_to("nowhere")
    before = target.lstat()

    with pytest.raises(ConfigError, match=r"is there already\. Expected"):
        write_plugin(tmp_path, {PurePosixPath("new/a.txt"): "x"})

    assert target.lstat() == before
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(RunFolderError, match=r"^Cannot write .*file.* Expected a writable folder"):
        write_plugin(tmp_path / "file", {PurePosixPath("new/a.txt"): "x"})


def test_nothing_is_left_where_writing_fails_half_way(tmp_path: Path) -> None:
    files = {PurePosixPath("new/a.txt"): "x", PurePosixPath("new/a.txt/b.txt"): "no folder"}

    with pytest.raises(RunFolderError, match="Cannot write"):
        write_plugin(tmp_path, files)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["class", "import"])
def test_a_module_that_cannot_be_imported_by_its_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is a word of Python's own"):
        Names.of(name, "loss", NOTHING_TAKEN, one_file=True)
