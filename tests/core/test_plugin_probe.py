"""A plugin is imported in a process of its own, and what it does there is reported."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fdmo_core.errors import PluginError
from fdmo_core.plugin_probe import PluginReport, probe

Probe = Callable[..., PluginReport]


@pytest.fixture
def probed(
    tmp_path: Path,
    install_plugin: Callable[[Path, str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Probe]:
    """A function that installs a plugin of some code and returns the report on it."""

    def run(source: str, seconds: float = 20.0) -> PluginReport:
        install_plugin(tmp_path, "mine", source)
        monkeypatch.syspath_prepend(tmp_path)
        return probe("mine", "fdmo-mine", seconds=seconds)

    return run


def test_a_sound_plugin_has_components_and_seconds_without_those_of_torch(
    probed: Probe, loss_source: Callable[[str], str]
) -> None:
    report = probed("import time, torch\ntime.sleep(0.3)\n" + loss_source("mine"))

    assert report.is_fine
    assert (report.plugin, report.distribution, report.version) == ("mine", "fdmo-mine", "1.2")
    assert report.components == ("mine",)
    assert report.seconds > 0.3
    assert (report.timed_out, report.stdout, report.changed, report.error) == (False, "", (), "")


def test_an_error_has_its_reason_and_line(probed: Probe, tmp_path: Path) -> None:
    report = probed("\nraise RuntimeError('no\\n licence')")

    assert report.error == "RuntimeError: no licence"
    assert report.place == f"{tmp_path / 'mine.py'}, line 2"
    assert not report.is_fine


def test_a_plugin_that_hangs_is_stopped_and_its_line_named(probed: Probe, tmp_path: Path) -> None:
    started = time.perf_counter()

    report = probed("import time\n\nprint('soon')\ntime.sleep(600)\n", seconds=0.5)

    assert time.perf_counter() - started < 300
    assert report.timed_out
    assert report.place == f"{tmp_path / 'mine.py'}, line 4"
    assert report.stdout == "soon\n"
    assert not report.is_fine


def test_a_plugin_that_hangs_outside_python_is_killed(probed: Probe, tmp_path: Path) -> None:
    report = probed("import re\nre.match('(a+)+$', 'a' * 60 + 'b')\n", seconds=0.5)

    assert report.timed_out
    assert report.place == str(tmp_path / "mine.py")


def test_a_plugin_that_ends_the_process_is_told_with_the_code(probed: Probe) -> None:
    report = probed("import os, sys\nprint('bye', file=sys.stderr, flush=True)\nos._exit(7)")

    assert report.error == "The process that imports it ends with code 7, and last wrote: bye"


def test_a_plugin_that_writes_to_stdout_is_quoted_with_the_line(
    probed: Probe, tmp_path: Path, loss_source: Callable[[str], str]
) -> None:
    source = "import os\ndef greet():\n    print('hello')\n\ngreet()\nos.write(1, b'C')\n"

    report = probed(source + loss_source("mine"))

    assert report.stdout == "hello\nC"
    assert report.place == f"{tmp_path / 'mine.py'}, line 3"
    assert report.components == ("mine",)
    assert not report.is_fine


def test_a_plugin_that_changes_global_state_is_told_with_the_line(
    probed: Probe, tmp_path: Path, loss_source: Callable[[str], str]
) -> None:
    source = "import torch\n\ndef prepare():\n    torch.manual_seed(3)\n\nprepare()\n"

    report = probed(source + loss_source("mine") + "    torch.set_default_dtype(torch.float64)\n")

    assert set(report.changed) == {"torch's seed", "torch's random state", "torch's default dtype"}
    assert report.place == f"{tmp_path / 'mine.py'}, line 4"
    assert not report.is_fine


def test_a_plugin_of_one_file_is_imported_too(
    tmp_path: Path, loss_source: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "single.py").write_text(loss_source("single"))
    monkeypatch.setenv("FDMO_PLUGINS_DIR", str(tmp_path))

    assert probe("single", "single.py").components == ("single",)


def test_a_plugin_that_is_not_there_is_refused() -> None:
    with pytest.raises(PluginError, match="There is no plugin 'nowhere' of fdmo-nowhere"):
        probe("nowhere", "fdmo-nowhere")
