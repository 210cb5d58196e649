"""Kills runs and exports at seeded moments, goes on with each, and compares with the uninterrupted.

    python tests/end_to_end/crashes.py --kills 25 --seed 0 --folder /tmp/crashes

Prints a JSON object a kill, and ends with an error where anything differs. A run is killed before
the n-th change of one kind of file, when it syncs or renames or opens it, or after a random time.
Processes are forks of this one, which has imported torch; with --real each is a new interpreter.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

BATCH = 10  # images at a time where nothing is learned, so that there are several batches
SETTINGS = (
    *("data.largest_class=8", "data.imbalance_ratio=4", "data.image_size=24"),
    *("data.val_per_class=1", "data.test_per_class=1", "phase1.batch_size=19"),
    *("texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]"),
    *("texture_stream.freeze_stages=1", "shape_stream.freeze_stages=1"),
    *("phase1.shape_epochs=1", "phase1.epochs=1", "dictionary.max_per_class=6"),
    *("rebalancer.epochs=1", "rebalancer.samples_per_class=4", "metrics.bootstrap_samples=100"),
    *("rebalancer.batch_size=24", "generator.hidden=[16, 16]"),
    *("generator.discriminator_hidden=[16, 16]", "cache.folder=cache", "cache.views=1"),
    "checkpoint.steps=1",
)
TRAIN = [
    *("train", "--device", "cpu", "--json", "--out", "run"),
    *(part for setting in SETTINGS for part in ("--set", setting)),
]
RESUME = ["train", "--device", "cpu", "--json", "--resume", "run"]
EXPORT = ["export", "onnx", "run", "--out", "exported/model.onnx", "--json"]
KINDS = ("checkpoints", "cache", "dictionary", "metrics", "manifest", "exported")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Moment(NamedTuple):
    """When a process is killed: before the n-th change of a kind of file, or after some seconds."""

    kind: str
    number: float


def kind_of(path: str) -> str:
    """Return which of :data:`KINDS` a file is of; "" for none."""
    parts = Path(path).parts
    if "cache" in parts:
        return "cache"
    return next((kind for kind in KINDS if any(kind in part for part in parts[-2:])), "")


class Changes:
    """Counts what this process does to files, and ends it at a moment.

    Args:
        moment: When.
        tally: Where to write how many changes there were of each kind.
    """

    def __init__(self, moment: Moment | None, tally: Path | None) -> None:
        self.found: Counter[str] = Counter()
        self._moment = moment
        self._tally = tally
        sync = os.fsync

        def watched(descriptor: int) -> None:
            self.see(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            sync(descriptor)

        os.fsync = watched  # type: ignore[assignment]
        sys.addaudithook(self.audit)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at what Python is about to do."""
        is_change = event in ("os.rename", "os.remove", "os.mkdir", "shutil.rmtree") or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        )
        if is_change and isinstance(arguments[0], str | os.PathLike):
            self.see(os.path.relpath(os.fspath(arguments[0])))

    def see(self, path: str) -> None:
        """Count a change, or die before it."""
        kind = kind_of(path)
        self.found[kind] += 1
        if self._moment == (kind, self.found[kind]):
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self) -> None:
        """Write how many changes there were of each kind."""
        if self._tally is not None:
            self._tally.write_text(json.dumps(self.found))


def load_equal_weights(extractor: Any) -> None:
    """Stand for ImageNet weights, which are one file for both streams."""
    from fdmo_core.randomness import seeded

    with seeded(0, "equal"):
        other = type(extractor)(extractor.config.model_copy())
    extractor.load_state_dict(other.state_dict())


def fdmo(job: dict[str, Any]) -> int:
    """Run the command of a job in this process and return its exit code."""
    from fdmo_cli.main import main
    from fdmo_core import phase2, prefix_cache
    from fdmo_plugins.small_vgg.extractor import SmallVgg

    os.chdir(job["folder"])
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    replaced: Any = SmallVgg
    replaced.load_initial_weights = load_equal_weights
    phase2.EXTRACT_BATCH = prefix_cache.WRITE_BATCH = BATCH
    sys.argv = ["fdmo", *job["argv"]]
    moment = job["moment"] and Moment(*job["moment"])
    changes = Changes(moment, job["tally"] and Path(job["tally"]))
    try:
        main()
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    finally:
        changes.write()
    return 0


def forked(job: dict[str, Any]) -> int:
    """Start a job in a fork of this process and return its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = fdmo(job)
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def spawned(job: dict[str, Any]) -> int:
    """Start a job in a new interpreter and return its number."""
    return subprocess.Popen([sys.executable, "-P", __file__, "--job", json.dumps(job)]).pid


class Crashes:
    """Runs that are killed, beside one that was not.

    Args:
        folder: Where all of them are.
        seed: Decides the moments.
        start: Starts a job.
    """

    def __init__(self, folder: Path, seed: int, start: Callable[[dict[str, Any]], int]) -> None:
        self.kills = 0
        self._folder = folder
        self._rng = random.Random(seed)
        self._start = start
        self._number = 0
        whole = folder / "whole"
        whole.mkdir(parents=True)
        self._seconds: dict[str, float] = {}
        self._changes: Counter[str] = Counter()
        for name, argv in (("train", TRAIN), ("export", EXPORT)):
            begin, tally = time.monotonic(), folder / f"{name}.json"
            self._require(self._run(whole, argv, tally=tally), 0, whole)
            self._seconds[name] = time.monotonic() - begin
            self._changes += Counter(json.loads(tally.read_text()))
        self._whole = whole

    def _run(
        self,
        folder: Path,
        argv: list[str],
        moment: Moment | None = None,
        tally: Path | None = None,
    ) -> int:
        """Return the exit code of a command that may be killed; -9 if it was."""
        counted = moment if moment is not None and moment.kind != "time" else None
        child = self._start(
            {
                "folder": str(folder),
                "argv": argv,
                "moment": counted,
                "tally": None if tally is None else str(tally),
            }
        )
        if moment is not None and moment.kind == "time":
            time.sleep(moment.number)
            os.kill(child, signal.SIGKILL)  # one that is done is a zombie until it is waited for
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == -signal.SIGKILL and moment is not None:
            self.kills += 1
            print(json.dumps({"kill": self.kills, "folder": folder.name, **moment._asdict()}))
        return code

    def _require(self, code: int, wanted: int, folder: Path) -> None:
        if code != wanted:
            said = (folder / "err").read_text()
            raise SystemExit(f"{folder} ended with {code} instead of {wanted}:\n{said}")

    def _moment(self, kind: str, command: str) -> Moment:
        if kind == "time":
            return Moment(kind, self._rng.uniform(0, self._seconds[command]))
        return Moment(kind, self._rng.randint(1, self._changes[kind]))

    def _new_folder(self) -> Path:
        self._number += 1
        folder = self._folder / f"{self._number}"
        folder.mkdir()
        return folder

    def crash_run(self, kind: str) -> None:
        """Kill a run once by a kind of change, then at up to two random moments, until it ends."""
        folder = self._new_folder()
        kinds = [one for one in (*KINDS, "time") if one != "exported"]
        planned = [kind, *self._rng.choices(kinds, k=self._rng.randint(0, 2))]
        moments = [self._moment(one, "train") for one in planned]
        code = self._run(folder, TRAIN, moments.pop(0))
        while code != 0:
            self._require(code, -signal.SIGKILL, folder)
            if not (folder / "run" / "config.toml").exists():
                shutil.rmtree(folder / "run", ignore_errors=True)
            argv = RESUME if (folder / "run").exists() else TRAIN
            code = self._run(folder, argv, moments.pop(0) if moments else None)
        self.compare(folder, "run")
        shutil.rmtree(folder)

    def crash_export(self, kind: str) -> None:
        """Kill an export once, and export again."""
        folder = self._new_folder()
        shutil.copytree(self._whole / "run", folder / "run")
        code = self._run(folder, EXPORT, self._moment(kind, "export"))
        if code != 0:
            self._require(code, -signal.SIGKILL, folder)
            self._require(self._run(folder, [*EXPORT, "--overwrite"]), 0, folder)
        self.compare(folder, "exported")
        shutil.rmtree(folder)

    def compare(self, folder: Path, part: str) -> None:
        """End with an error unless a folder holds what the uninterrupted one does."""
        found, wanted = (contents(one / part) for one in (folder, self._whole))
        names = sorted(found.keys() | wanted.keys())
        differing = [name for name in names if found.get(name) != wanted.get(name)]
        if differing:
            raise SystemExit(f"{folder} differs from {self._whole} in {', '.join(differing)}")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files but those that tell of times, commands and processes.

    A lock stays where a process is killed between its last file and its end.
    """
    skipped = ("log.jsonl", "environment.json", "manifest.json", ".lock", "lock.json")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in skipped
    }


def main() -> None:
    """Kill as often as is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--real", action="store_true", help="a new interpreter for each process")
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job is not None:
        sys.exit(fdmo(given.job))
    if not given.real:
        import onnxscript  # noqa: F401  # for the forks
        import torchvision.transforms.v2  # noqa: F401

        import fdmo_export.write  # noqa: F401
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    crashes = Crashes(given.folder.resolve(), given.seed, spawned if given.real else forked)
    kinds = (*KINDS, "time")
    turn = 0
    while crashes.kills < given.kills:
        kind = kinds[turn % len(kinds)]
        turn += 1
        (crashes.crash_export if kind == "exported" else crashes.crash_run)(kind)


if __name__ == "__main__":
    main()
