"""Many runs that belong together: trained one after the other, from as few phases 1 as they need.

Each cell is an ordinary run folder. What is finished there is left as it is, and what was begun
goes on from its checkpoints, so an experiment is continued by starting it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fdmo_core.config import Run, read_toml
from fdmo_core.data import open_data
from fdmo_core.engine import check_run
from fdmo_core.errors import ConfigError, DataError, FdmoError, RunFolderError
from fdmo_core.files import make_folder
from fdmo_core.json_files import read_json
from fdmo_core.lent_phase1 import DECIDE_PHASE1
from fdmo_core.manifest import require_intact
from fdmo_core.network import Network
from fdmo_core.resuming import WITHOUT_INFLUENCE, changes
from fdmo_core.samples import Splits
from fdmo_core.world import World


@dataclass(frozen=True)
class Cell:
    """One run of an experiment.

    Attributes:
        name: Unique in the experiment.
        run: Its configuration.
        folder: Its run folder, which need not be there.
    """

    name: str
    run: Run
    folder: Path

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.folder / "metrics.json").is_file()

    @property
    def has_phase1(self) -> bool:
        """Whether phase 1 and the dictionary of this run can be used by others."""
        return (self.folder / "dictionary" / "sources.json").is_file()

    @property
    def decides_phase1(self) -> dict[str, Any]:
        """All settings that decide phase 1 and the dictionary."""
        settings = self.run.as_dict()
        cache = {key: settings["cache"][key] for key in ("precision", "views")}
        return {key: settings[key] for key in DECIDE_PHASE1} | {"cache": cache}

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of a finished run."""
        require_intact(self.folder, "metrics.json")
        content: dict[str, Any] = read_json(self.folder / "metrics.json")
        return content


TrainCell = Callable[[Cell, Splits, Network, Path | None], object]


def phase1_lenders(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return by name whose phase 1 each cell uses: that of the first cell with equal settings."""
    lenders: dict[str, Cell] = {}
    for cell in cells:
        same = (one for one in lenders.values() if one.decides_phase1 == cell.decides_phase1)
        lenders[cell.name] = next(same, cell)
    return lenders


def require_same_settings(cells: Sequence[Cell]) -> None:
    """Raise a ConfigError if a cell was begun with other settings; it names all that differ."""
    problems: dict[str, list[str]] = {}
    for cell in cells:
        file = cell.folder / "config.toml"
        if not file.is_file():
            continue
        for key, before, now in changes(read_toml(file), cell.run.as_dict()):
            if not key.startswith(WITHOUT_INFLUENCE):
                problem = f"{key} was {before!r}, is {now!r}"
                problems.setdefault(problem, []).append(str(cell.folder))
    if problems:
        lines = [f"{problem}: {', '.join(folders)}" for problem, folders in problems.items()]
        raise ConfigError(
            "Settings are not those that runs were begun with:\n  "
            + "\n  ".join(lines)
            + "\nExpected the same settings. Choose another folder with --out, or go back to them."
        )


@dataclass
class _OpenedData:
    """The data set that was opened last; cells of one seed mostly share it."""

    settings: dict[str, Any] = field(default_factory=dict)
    splits: Splits | None = None

    def of(self, run: Run) -> Splits:
        """Return the run's splits; errors as in :func:`fdmo_core.data.open_data`."""
        content = run.as_dict()
        settings = {key: content[key] for key in ("seed", "data")}
        if self.splits is None or self.settings != settings:
            self.settings, self.splits = settings, open_data(run)
        return self.splits


def run_cells(
    cells: Sequence[Cell], *, train: TrainCell, world: World, announce: Callable[[Cell], None]
) -> dict[str, str]:
    """Train all cells that are not finished, and return why some could not be, by name.

    A cell that fails does not keep the others from their turn. With several processes one that
    fails in training ends all, for the others wait for it.

    Args:
        cells: In this order.
        train: Trains a cell in its folder, of which parts may be there; from another run's
            phase 1 where a folder is given.
        world: The processes, which all go through the same cells.
        announce: Told each cell before its turn.
    """
    lenders, data = phase1_lenders(cells), _OpenedData()
    failures: dict[str, str] = {}
    for cell in cells:
        if world.from_first(partial(_finished_or_not, cell)) == "finished":
            continue
        announce(cell)
        lender = lenders[cell.name]
        reason = ""
        try:
            splits, model = _prepare(cell, lender, data, world)
        except FdmoError as error:
            reason = str(error)
        if told := [one for one in world.gather(reason) if one]:  # what fails for one, for all
            failures[cell.name] = told[0]
            continue
        try:
            train(cell, splits, model, None if lender is cell else lender.folder)
        except FdmoError as error:
            if world.size > 1:
                raise
            failures[cell.name] = str(error)
        world.wait()  # the files of one cell are there before the next one looks for them
    return failures


def _finished_or_not(cell: Cell) -> str:
    return "finished" if cell.is_finished else "not finished"


def _prepare(cell: Cell, lender: Cell, data: _OpenedData, world: World) -> tuple[Splits, Network]:
    """Return what training needs, with the folder made, after all checks that need no training."""
    if lender is not cell and not lender.has_phase1:
        raise RunFolderError(
            f"Phase 1 of '{lender.name}', which '{cell.name}' goes on from, is not finished. "
            f"Expected it in {lender.folder}. See why that run failed, then start again."
        )
    splits = data.of(cell.run)
    if not len(splits.test.labels):
        raise DataError(
            "The test split has no image. Expected some, for the figures are of that split. Choose "
            "data with a test split."
        )
    for folder in {cell.folder, lender.folder}:
        require_same_data(folder, splits)
    model = check_run(cell.run, splits)
    if world.is_first:
        for part in ("checkpoints", "dictionary"):  # or what an interruption kept from being made
            make_folder(cell.folder / part)
    return splits, model


def require_same_data(folder: Path, splits: Splits) -> None:
    """Raise a DataError if a run folder was begun with other data."""
    file = folder / "data.json"
    if file.is_file() and read_json(file)["digest"] != splits.digest:
        raise DataError(
            f"The data is not what {folder} was begun with: its digest differs. Expected the same "
            f"files. Restore them, or choose another folder with --out."
        )
