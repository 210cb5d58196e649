"""``fdmo doctor``: what of this installation works, and what to do about the rest."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import gettempdir

import typer

from fdmo_cli.doctor_checks import environment, gpu, machine, onnxruntime
from fdmo_cli.doctor_checks.finding import PROBLEM, WARNING, Check, Finding, finding_of
from fdmo_cli.options import JsonOption

CHECKS: Mapping[str, Check] = {
    "python": environment.check_python,
    "fdmo": environment.check_fdmo,
    "torch": environment.check_torch,
    "driver": gpu.check_driver,
    "cuda": environment.check_cuda,
    "onnxruntime": onnxruntime.check_packages,
    "provider cpu": partial(onnxruntime.check_provider, "cpu"),
    "provider cuda": partial(onnxruntime.check_provider, "cuda"),
    "provider tensorrt": partial(onnxruntime.check_provider, "tensorrt"),
    "plugins": environment.check_plugins,
    "threads": machine.check_threads,
    "waiting": machine.check_waiting,
    "space": lambda: machine.check_space(Path.cwd()),
    "temporary space": lambda: machine.check_space(Path(gettempdir())),
}


def doctor(as_json: JsonOption = False) -> None:
    """Check Python, torch, GPU, onnxruntime, plugins, space and threads."""
    findings = {name: finding_of(check) for name, check in CHECKS.items()}
    if as_json:
        rows = [{"check": name, **one.as_dict()} for name, one in findings.items()]
        typer.echo(json.dumps(rows))
    else:
        _print(findings)
    if any(one.status == PROBLEM for one in findings.values()):
        raise typer.Exit(1)


def _print(findings: Mapping[str, Finding]) -> None:
    width = max(map(len, findings))
    for name, one in findings.items():
        typer.echo(f"{one.status:<7}  {name:<{width}}  {one.found}")
        if one.advice:
            typer.echo(f"{'':<7}  {'':<{width}}  -> {one.advice}")
    counts = {s: sum(one.status == s for one in findings.values()) for s in (PROBLEM, WARNING)}
    typer.echo(", ".join(f"{count} {status}(s)" for status, count in counts.items()))
