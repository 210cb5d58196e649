"""Progress bars on stderr, as they look where there is no terminal: once, at the end."""

import pytest

from fdmo_cli.progress import ProgressBars
from fdmo_core.journal import Progress

TERMS = {"loss": 0.123456, "real": 2.0, "artificial": 3.0}


def test_a_phase_has_one_bar_with_its_count_and_first_terms(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ProgressBars() as bars:
        for done in (1, 2):
            bars.show(Progress("phase1", done, 4, TERMS))

    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("phase1 ")
    assert " 2/4 " in line
    assert line.endswith(" loss 0.123, real 2")


def test_phases_follow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBars() as bars:
        for phase in ("images", "phase1", "images"):
            bars.show(Progress(phase, 1, 1, {}))

    lines = capsys.readouterr().err.strip().splitlines()
    assert [line.split()[0] for line in lines] == ["images", "phase1"]


def test_a_sentence_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBars() as bars:
        bars.say("Class '[red]' has 7 images [/b].")

    assert "Class '[red]' has 7 images [/b].\n" in capsys.readouterr().err


def test_quiet_bars_say_sentences_and_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBars(quiet=True) as bars:
        bars.show(Progress("phase1", 1, 4, TERMS))
        bars.say("A sentence.")

    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "A sentence.\n")
