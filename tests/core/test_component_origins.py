"""Where runs had their components from is read from their folders."""

import json
from pathlib import Path
from typing import Any

import pytest

from fdmo_core.component_origins import Origin, read_origins
from fdmo_core.errors import RunFolderError


def noted(folder: Path, version: str = "1.0", name: str = "poly") -> Path:
    folder.mkdir(parents=True)
    one = {"name": name, "distribution": "fdmo-poly", "version": version}
    (folder / "environment.json").write_text(json.dumps({"components": {"loss": one}}))
    return folder


@pytest.mark.parametrize("depth", ["", "seed-0/full", "cells/mean/0"])
def test_a_run_and_the_runs_of_an_experiment_are_read(tmp_path: Path, depth: str) -> None:
    run = noted(tmp_path / "out" / depth)

    assert read_origins([tmp_path / "out"]) == {"poly": Origin("loss", run, "fdmo-poly", "1.0")}


def test_the_first_run_that_names_a_component_decides(tmp_path: Path) -> None:
    first, second = noted(tmp_path / "a", "1.0"), noted(tmp_path / "b", "2.0")

    assert read_origins([second, first])["poly"].version == "2.0"


@pytest.mark.parametrize("content", [None, {}, {"plugins": {"fdmo-poly": "1.0"}}])
def test_folders_that_note_nothing_say_nothing(tmp_path: Path, content: Any) -> None:
    if content is not None:
        (tmp_path / "environment.json").write_text(json.dumps(content))

    assert read_origins([tmp_path, tmp_path / "nowhere"]) == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"components": {"loss": {}}}'])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "environment.json"
    file.write_text(text)

    with pytest.raises(RunFolderError) as caught:
        read_origins([tmp_path])

    message = str(caught.value)
    assert message.startswith(f"{file} cannot be read: ")
    assert message.endswith(
        "Expected the file as fdmo wrote it. Restore it, or remove it: then nobody knows which "
        "plugins the run had."
    )
