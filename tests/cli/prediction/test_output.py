"""An output file that a later run goes on with."""

import errno
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fdmo_cli.prediction.lines import Format, Lines
from fdmo_cli.prediction.output import NOTHING, Output, read_kept
from fdmo_core.errors import ConfigError, RunFolderError
from fdmo_export import Prediction

ANSWER = Prediction(0, "a", 0.75, np.array([0.75, 0.25], dtype=np.float32), True, None, None)
FILES = ["1.jpg", 'odd\n"name".jpg', "\udcff.jpg"]
MACHINE: tuple[Format, ...] = ("json", "csv")


def lines(format: Format, *, model: str = "f00d", top: int = 2) -> Lines:
    return Lines(format, top, ("a", "b"), (), model)


def written(path: Path, form: Lines) -> bytes:
    with Output(path, form, NOTHING) as output:
        output.add((file, ANSWER) for file in FILES)
    return path.read_bytes()


@pytest.mark.parametrize("format", MACHINE)
def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path, format: Format) -> None:
    assert read_kept(tmp_path / "out", lines(format)) == NOTHING


@pytest.mark.parametrize("format", MACHINE)
def test_every_answer_is_kept(tmp_path: Path, format: Format) -> None:
    content = written(tmp_path / "out", lines(format))

    kept = read_kept(tmp_path / "out", lines(format))

    assert kept == (frozenset(FILES), len(content), False)


@pytest.mark.parametrize("format", MACHINE)
def test_wherever_a_file_was_cut_whole_answers_are_kept_and_the_rest_comes_again(
    tmp_path: Path, format: Format
) -> None:
    path = tmp_path / "out"
    content = written(path, lines(format))

    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        kept = read_kept(path, lines(format))
        assert kept.was_cut == (kept.size < length)
        with Output(path, lines(format), kept) as output:
            output.add((file, ANSWER) for file in FILES if file not in kept.files)
        assert path.read_bytes() == content


def test_each_answer_is_on_disk_before_the_next_batch(tmp_path: Path) -> None:
    with Output(tmp_path / "out", lines("json"), NOTHING) as output:
        output.add([("1.jpg", ANSWER)])

        assert json.loads((tmp_path / "out").read_text())["file"] == "1.jpg"


@pytest.mark.parametrize(
    ("content", "form", "why"),
    [
        ("hello\n", lines("json"), "Expecting value"),
        ("[1]\n", lines("json"), ""),
        ('{"file": "a"}\n', lines("json"), "'model'"),
        ("a,b\n1,2\n", lines("csv"), "another first line"),
    ],
)
def test_a_file_of_something_else_is_an_error(
    tmp_path: Path, content: str, form: Lines, why: str
) -> None:
    path = tmp_path / "out"
    path.write_text(content)

    with pytest.raises(ConfigError) as caught:
        read_kept(path, form)

    message = str(caught.value)
    assert message.startswith(f"{path} holds something else than this run would write ({why}")
    assert message.endswith(
        "Expected no such file, or one that 'fdmo predict' began with the same file, dials and "
        "format. Choose another --out, or delete it."
    )
    assert path.read_text() == content


@pytest.mark.parametrize("format", MACHINE)
def test_answers_of_another_model_or_form_are_an_error(tmp_path: Path, format: Format) -> None:
    written(tmp_path / "out", lines(format))
    other: Format = "csv" if format == "json" else "json"

    with pytest.raises(ConfigError, match="an answer of model f00d, not beef"):
        read_kept(tmp_path / "out", lines(format, model="beef"))
    with pytest.raises(ConfigError):
        read_kept(tmp_path / "out", lines(other))


def test_csv_with_other_columns_is_an_error(tmp_path: Path) -> None:
    written(tmp_path / "out", lines("csv"))

    with pytest.raises(ConfigError, match="another first line"):
        read_kept(tmp_path / "out", lines("csv", top=1))


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"^Cannot write .*/no/out: No such file"):
        Output(tmp_path / "no" / "out", lines("json"), NOTHING)


@pytest.mark.parametrize("format", MACHINE)
@pytest.mark.parametrize("content", ["precious", '"precious\n and more\n', "{}"])
def test_a_foreign_file_without_a_line_end_is_not_cut_off(
    tmp_path: Path, format: Format, content: str
) -> None:
    path = tmp_path / "out"
    path.write_text(content)

    with pytest.raises(ConfigError, match="holds something else than this run would write"):
        read_kept(path, lines(format))


def test_a_device_is_refused_before_it_is_read_without_an_end() -> None:
    with pytest.raises(ConfigError, match=r"^/dev/zero is a device or a pipe\. "):
        read_kept(Path("/dev/zero"), lines("json"))


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with Output(path, lines("json"), NOTHING) as output:
        with pytest.raises(ConfigError, match=r"^Another run writes "):
            Output(path, lines("json"), NOTHING)
        output.add([("1.jpg", ANSWER)])

    with pytest.raises(ConfigError, match=r"^Another run writes "):  # since it was read
        Output(path, lines("json"), NOTHING)
    assert json.loads(path.read_text())["file"] == "1.jpg"


class Full(io.BytesIO):
    """A device without space."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_stdout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=Full()))

    with pytest.raises(RunFolderError, match=r"^Cannot write stdout: No space left"):
        Output(None, lines("json"), NOTHING).add([("1.jpg", ANSWER)])
