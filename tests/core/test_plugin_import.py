"""While a plugin is imported stdout stays clean, a slow one is named, and an error has a place."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fdmo_core.plugin_candidates import OWN_DISTRIBUTION, Candidate
from fdmo_core.plugin_import import guarded, place_of

MINE = Candidate("mine", "fdmo-mine", "1.2", Path("mine.py"))


def test_whatever_is_written_to_stdout_comes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with guarded(MINE):
        print("from Python")
        os.write(1, b"from C\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    print("after")

    out, err = capfd.readouterr()
    assert out == "before\nafter\n"
    assert sorted(err.splitlines()) == ["from C", "from Python", "from a child"]


def test_stdout_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="no licence"), guarded(MINE):
        raise RuntimeError("no licence")
    print("after")

    assert capfd.readouterr().out == "after\n"


def test_a_slow_plugin_is_named_while_it_is_imported(capfd: pytest.CaptureFixture[str]) -> None:
    with guarded(MINE, slow_after=0.01):
        time.sleep(0.3)

    assert capfd.readouterr().err == (
        "Still importing plugin 'mine' of fdmo-mine after 0.01 s. 'fdmo plugins doctor' says why; "
        "'--no-plugin fdmo-mine' leaves it out.\n"
    )


def test_neither_a_fast_plugin_nor_fdmo_s_own_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with guarded(MINE, slow_after=0.2):
        pass
    with guarded(Candidate("losses", OWN_DISTRIBUTION, "0.1", Path("x.py")), slow_after=0.01):
        time.sleep(0.3)

    assert capfd.readouterr().err == ""


def error_of(path: Path, source: str) -> BaseException:
    path.write_text(source)
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # any of a stranger's errors
        exec(compile(source, str(path), "exec"), {})
    return caught.value


def test_the_place_is_the_deepest_line_of_the_plugin_s_own_code(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    error = error_of(file, "import json\n\ndef read():\n    json.loads('{')\n\nread()\n")

    assert place_of(error, Candidate("mine", "mine.py", "", file)) == f"{file}, line 4"


def test_the_place_of_a_syntax_error_is_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    error = error_of(file, "a = 1\nb = = 2\n")

    assert place_of(error, Candidate("mine", "mine.py", "", file)) == f"{file}, line 2"


def test_an_error_that_no_line_of_the_plugin_raised_has_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"

    assert place_of(RuntimeError(), Candidate("mine", "mine.py", "", file)) == str(file)
