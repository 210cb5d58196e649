"""Worker processes: on this machine, or with Ray on the nodes of a cluster."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from fdmo_core.errors import ConfigError


class Workers(Protocol):
    """Calls functions elsewhere; a process pool is one."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "Future[Any]":
        """Return what will hold the function's result, or the error that it raised."""
        ...


MakeWorkers = Callable[[], AbstractContextManager[Workers]]


@contextmanager
def local_workers(number: int) -> Iterator[Workers]:
    """Yield so many processes of this machine, each with one thread; they end with the block."""
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    pool.shutdown()


def _start_worker() -> None:
    """Use one thread, and leave when the process that started this one is gone."""
    import torch

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()


def _leave_after(parent: Any) -> None:
    parent.join()
    os._exit(1)


def require_ray() -> None:
    """Raise a ConfigError if Ray is not installed."""
    if find_spec("ray") is None:
        raise ConfigError(
            "Ray is not installed. Expected it for --ray. Install it with pip install 'fdmo[ray]', "
            "or leave --ray out to use the cores of this machine."
        )


@contextmanager
def ray_workers() -> Iterator[Workers]:
    """Yield Ray's workers: of the cluster that this machine is in, or else of this machine.

    Folders must be on storage that all nodes share.
    """
    ray: Any = import_module("ray")

    ray.init(ignore_reinit_error=True, log_to_driver=False)
    try:
        yield _RayWorkers(ray)
    finally:
        ray.shutdown()


class _RayWorkers:
    """Ray tasks of one core each, by the interface of a pool."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "Future[Any]":
        """Return the future of a new task; see :class:`Workers`."""
        task = self._ray.remote(_with_one_thread).options(num_cpus=1, max_retries=0)
        future: Future[Any] = task.remote(function, *arguments).future()
        return future


def _with_one_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    import torch

    torch.set_num_threads(1)
    return function(*arguments)


def choose_workers(number: int, *, ray: bool) -> MakeWorkers:
    """Return what starts workers: so many processes of this machine, or those of Ray.

    Raises:
        ConfigError: Ray is asked for and not installed.
    """
    if ray:
        require_ray()
        return ray_workers
    return partial(local_workers, number)
