"""``fdmo doctor``: what of this installation works, and what to do about the rest."""

import json
from collections.abc import Mapping

import typer

from fdmo_cli.doctor_checks.finding import PROBLEM, WARNING, Finding, finding_of
from fdmo_cli.options import JsonOption


def doctor(as_json: JsonOption = False) -> None:
    """Check Python, torch, GPU, onnxruntime, plugins, space and threads."""
    from fdmo_cli.doctor_checks.order import CHECKS

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
