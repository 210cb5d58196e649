"""Run folders seen from outside, without torch: which there are, how far they are, if whole."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fdmo_core.errors import RunFolderError
from fdmo_core.files import cannot_write
from fdmo_core.json_files import read_json
from fdmo_core.manifest import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    METRICS_FILE,
    NOT_LISTED,
    describe_damage,
    files_below,
    read_manifest,
)
from fdmo_core.run_lock import read_owner
from fdmo_core.sealed import read_head

State = Literal["finished", "stopped", "running", "damaged"]


@dataclass(frozen=True)
class RunSummary:
    """What a list of runs tells of one.

    Attributes:
        folder: Where it is.
        state: Whether it is finished, stopped, being written, or cannot be read.
        detail: How far it is, who writes it, or what is wrong.
        data: Name of the data set.
        figures: ACSA and geometric mean after phase 2, of the test split or else the validation
            split; empty before the end.
        bytes: On the disk.
    """

    folder: str
    state: State
    detail: str
    data: str
    figures: dict[str, float]
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


class Damage(NamedTuple):
    """One file of a run that is not as the run wrote it.

    Attributes:
        name: Relative to the run folder.
        problem: In what.
    """

    name: str
    problem: str


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run's, begun at least."""
    return (folder / CONFIG_FILE).is_file() and (folder / ENVIRONMENT_FILE).is_file()


def find_runs(root: Path) -> Iterator[Path]:
    """Yield the run folders in a folder and below it, those of experiments included.

    Symbolic links are not followed, and hidden folders are passed over.
    """
    for place, folders, _ in os.walk(root, followlinks=False):
        if is_run(Path(place)):
            folders.clear()
            yield Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def summarize_run(folder: Path) -> RunSummary:
    """Return what a list tells of a run; damage is a state, no error."""
    size = sum(file.stat().st_size for file in files_below(folder))
    try:
        data = str(_read(folder / ENVIRONMENT_FILE)["config"]["data"]["name"])
        state, detail = _state(folder)
        figures = _figures(_read(folder / METRICS_FILE)) if state == "finished" else {}
    except RunFolderError as error:
        return RunSummary(str(folder), "damaged", str(error), "", {}, size)
    except (KeyError, TypeError) as error:
        problem = f"its files are not those of this version of fdmo: {error!r}"
        return RunSummary(str(folder), "damaged", problem, "", {}, size)
    return RunSummary(str(folder), state, detail, data, figures, size)


def _state(folder: Path) -> tuple[State, str]:
    owner = read_owner(folder)
    if owner is not None:
        return "running", f"{owner}; {_progress(folder)}"
    if (folder / METRICS_FILE).is_file():
        return "finished", ""
    return "stopped", _progress(folder)


def _progress(folder: Path) -> str:
    """Return how far the newest checkpoint is."""
    files = [
        file
        for file in (folder / "checkpoints").glob("*.safetensors")
        if not file.name.endswith(".previous.safetensors")
    ]
    newest = max(files, key=lambda file: file.stat().st_mtime_ns, default=None)
    if newest is None:
        return "before its first checkpoint"
    try:
        head = read_head(newest, is_checked=False)
        return f"{head['phase']}, step {head['done']} of {head['total']}"
    except (OSError, ValueError, KeyError) as error:
        raise RunFolderError(f"{newest} cannot be read: {error}.") from error


def _figures(metrics: dict[str, Any]) -> dict[str, float]:
    report = metrics["test"] or metrics["val"]
    if report is None:
        return {}
    return {name: report["after"][name] for name in ("acsa", "geometric_mean")}


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = read_json(file)
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{file} cannot be read: {error}.") from error
    return content


def verify_run(folder: Path) -> list[Damage]:
    """Return the files of a run that are not as the run wrote them.

    Those of the manifest are compared with their digests, checkpoints that are not in it yet with
    their own.

    Raises:
        RunFolderError: The folder is none of a run, or has no manifest.
    """
    require_run(folder)
    listed = read_manifest(folder)
    found = [Damage(name, describe_damage(folder / name, one)) for name, one in listed.items()]
    for file in files_below(folder):
        name = file.relative_to(folder).as_posix()
        if name in listed or name in NOT_LISTED:
            continue
        if name.startswith("checkpoints/"):
            found.append(Damage(name, _checkpoint_damage(file)))
        elif (folder / METRICS_FILE).is_file():
            found.append(Damage(name, "it is not in the manifest"))
    return [one for one in found if one.problem]


def _checkpoint_damage(file: Path) -> str:
    try:
        read_head(file)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def require_run(folder: Path) -> None:
    """Raise a RunFolderError if a folder is no run's."""
    if not is_run(folder):
        raise RunFolderError(
            f"{folder} is no run folder. Expected one with {CONFIG_FILE} and {ENVIRONMENT_FILE}, "
            f"as 'fdmo train' writes them. Check the path, or see 'fdmo runs list'."
        )


def borrowers(folder: Path) -> list[Path]:
    """Return the runs beside a run, or deeper there, whose phase 1 is that run's."""
    here = folder.resolve()
    found = []
    for other in find_runs(folder.absolute().parent):
        try:
            lender = _read(other / ENVIRONMENT_FILE).get("phase1_from")
        except RunFolderError:
            continue  # what cannot be read is told by the list
        if isinstance(lender, str) and Path(lender).resolve() == here:
            found.append(other)
    return found


def remove_run(folder: Path) -> None:
    """Remove a run folder with all that is in it; what links lead to stays.

    It is renamed first, so that a kill leaves no half of a run under the run's name.

    Raises:
        RunFolderError: It is no run folder, is a symbolic link, or is being written.
    """
    require_run(folder)
    if folder.is_symlink():
        raise RunFolderError(
            f"{folder} is a symbolic link. Expected the run folder itself. Remove the link by "
            f"hand, or name {folder.resolve()}."
        )
    owner = read_owner(folder)
    if owner is not None:
        raise RunFolderError(
            f"{folder} is being written by {owner}. Expected a run that nobody writes. Stop it "
            f"first."
        )
    hidden = folder.with_name(f".removed-{os.getpid()}")
    try:
        folder.rename(hidden)
        shutil.rmtree(hidden)
    except OSError as error:
        raise cannot_write(folder, error) from error
