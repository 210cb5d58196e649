"""All checks by name, in the order in which they are told."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import gettempdir

from fdmo_cli.doctor_checks import environment, gpu, machine, runtimes
from fdmo_cli.doctor_checks.finding import Check

CHECKS: Mapping[str, Check] = {
    "python": environment.check_python,
    "fdmo": environment.check_fdmo,
    "torch": environment.check_torch,
    "driver": gpu.check_driver,
    "cuda": environment.check_cuda,
    "onnxruntime": runtimes.check_packages,
    "provider cpu": partial(runtimes.check_provider, "cpu"),
    "provider cuda": partial(runtimes.check_provider, "cuda"),
    "provider tensorrt": partial(runtimes.check_provider, "tensorrt"),
    "plugins": environment.check_plugins,
    "threads": machine.check_threads,
    "waiting": machine.check_waiting,
    "space": lambda: machine.check_space(Path.cwd()),
    "temporary space": lambda: machine.check_space(Path(gettempdir())),
}
