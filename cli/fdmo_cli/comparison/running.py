"""Does what a comparison orders, in rounds: phases 1, what borrows them, settings, cells."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fdmo_cli.comparison.cells import CellJob, SpaceJob, is_learned, learn, run_cell
from fdmo_cli.comparison.order import Order
from fdmo_cli.comparison.plan import Planned, Space, plan_spaces
from fdmo_cli.comparison.tasks import run_jobs
from fdmo_cli.comparison.tuning import TuneJob, tunable, tune, tuned_file
from fdmo_cli.comparison.workers import MakeWorkers, Workers
from fdmo_cli.progress import ProgressBars
from fdmo_core.experiments import require_same_settings
from fdmo_core.journal import Progress


def run_order(
    order: Order, make_workers: MakeWorkers, *, device: str, quiet: bool
) -> dict[str, str]:
    """Do what is not done yet, and return why some could not be, by name.

    Args:
        order: What is to be done.
        make_workers: Where.
        device: Name of the device.
        quiet: Show no progress.

    Raises:
        ConfigError: Parts were done with other settings.
    """
    planned = order.cells()
    spaces = plan_spaces(planned, order.start, order.folder)
    require_same_settings([*(one.cell for one in spaces), *(one.cell for one in planned)])
    with ProgressBars(quiet=quiet) as bars, make_workers() as workers:
        do = partial(_round, workers=workers, make_workers=make_workers, bars=bars)
        own = [one for one in spaces if one.lender is None]
        failures = do("phase 1", learn, _space_jobs(own, order, device))
        borrowing = [
            one for one in spaces if one.lender and is_learned(one.lender, out_of_fold=True)
        ]
        failures |= do("ensembles", learn, _space_jobs(borrowing, order, device))
        if order.trials:
            learned = [one for one in planned if _is_learned(one)]
            failures |= do("tuning", tune, _tune_jobs(learned, order, device))
        jobs = {
            one.cell.name: _cell_job(one, device)
            for one in order.cells()
            if not one.cell.is_finished and _is_learned(one) and _is_tuned(one, order)
        }
        return failures | do("cells", run_cell, jobs)


def _round(
    what: str,
    function: Callable[[Any], object],
    jobs: Mapping[str, Any],
    *,
    workers: Workers,
    make_workers: MakeWorkers,
    bars: ProgressBars,
) -> dict[str, str]:
    """Do the jobs of one round, with a bar, and return why some failed."""
    done: list[str] = []

    def tell(name: str) -> None:
        done.append(name)
        bars.show(Progress(what, len(done), len(jobs), {}))

    if jobs:
        bars.show(Progress(what, 0, len(jobs), {}))
    return run_jobs(function, jobs, workers, make_workers, done=tell)


def _absolute(folder: Path | None) -> Path | None:
    return None if folder is None else folder.absolute()


def _space_jobs(spaces: list[Space], order: Order, device: str) -> dict[str, SpaceJob]:
    return {
        one.cell.name: SpaceJob(
            one.cell.run.as_dict(),
            one.cell.folder.absolute(),  # a node of a cluster works elsewhere
            device,
            one.out_of_fold,
            _absolute(one.lender or order.phase1_from),
        )
        for one in spaces
        if not is_learned(one.cell.folder, out_of_fold=one.out_of_fold)
    }


def _is_learned(one: Planned) -> bool:
    return is_learned(one.space, out_of_fold=one.cell.run.cross_fits)


def _tune_jobs(planned: list[Planned], order: Order, device: str) -> dict[str, TuneJob]:
    """Return a job for each method that has something to choose, on its first seed."""
    jobs = {}
    for one in planned:
        keys = tunable(one.method, one.cell.run)
        file = tuned_file(order.folder, one.method)
        if one.seed == order.seeds[0] and keys and not file.is_file():
            job = TuneJob(_cell_job(one, device), keys, order.trials, file.absolute())
            jobs[f"the tuning of {one.method.name}"] = job
    return jobs


def _is_tuned(one: Planned, order: Order) -> bool:
    file = tuned_file(order.folder, one.method)
    return not order.trials or not tunable(one.method, one.cell.run) or file.is_file()


def _cell_job(one: Planned, device: str) -> CellJob:
    return CellJob(one.cell.run.as_dict(), one.cell.folder.absolute(), one.space.absolute(), device)
