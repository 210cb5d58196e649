"""Many jobs in worker processes, of which some fail and some are killed."""

import operator
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import pytest

from fdmo_cli.comparison.tasks import KILLED, run_jobs
from fdmo_cli.comparison.workers import choose_workers
from fdmo_core.data import require_split
from fdmo_core.errors import ConfigError

make_workers = partial(ProcessPoolExecutor, 2, mp_context=get_context("spawn"))


def test_one_that_fails_and_one_that_is_killed_do_not_keep_the_others(tmp_path: Path) -> None:
    jobs = {
        "first": partial(Path.touch, tmp_path / "first"),
        "fails": partial(int, "three"),
        "is killed": partial(os._exit, 9),
        "last": partial(Path.touch, tmp_path / "last"),
    }
    told: list[str] = []

    with make_workers() as workers:
        failures = run_jobs(operator.call, jobs, workers, make_workers, done=told.append)

    assert failures["is killed"] == KILLED
    assert failures["fails"].startswith("ValueError: invalid literal for int()")
    assert failures.keys() == {"is killed", "fails"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "last"]
    assert sorted(told) == ["fails", "first", "last"]


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_ray_that_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(ConfigError, match=r"Install it with pip install 'fdmo\[ray\]'"):
        choose_workers(1, ray=True)


def test_ray_does_jobs_and_tells_why_one_fails() -> None:
    pytest.importorskip("ray")
    ray = choose_workers(1, ray=True)
    jobs = {"good": partial(int, "3"), "bad": partial(require_split, "tset")}

    with ray() as workers:
        failures = run_jobs(operator.call, jobs, workers, ray, done=lambda _: None)

    assert failures.keys() == {"bad"}
    assert failures["bad"].startswith("Unknown split 'tset'. Expected one of: ")
