"""``fdmo plugins doctor``: import each plugin in a process of its own, and say what is wrong."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from fdmo_cli.doctor_checks.finding import OK, PROBLEM, WARNING, Finding
from fdmo_cli.options import JsonOption

if TYPE_CHECKING:
    from fdmo_core.plugin_candidates import Candidate
    from fdmo_core.plugin_probe import PluginReport

AT_ONCE = 2  # processes; each imports torch first
SLOW_SECONDS = 5.0

SecondsOption = Annotated[
    float,
    typer.Option("--seconds", min=0.1, help="After which a plugin counts as hanging at import."),
]


def doctor(seconds: SecondsOption = 20.0, as_json: JsonOption = False) -> None:
    """Import every plugin in a process of its own, and say what is wrong with it."""
    from fdmo_core.plugin_loading import select_candidates

    kept, left_out = select_candidates(os.environ)
    others = [one for one in kept if not one.is_own]
    rows = []
    for report, finding in chain(_asked(left_out), _judged(_probed(others, seconds))):
        rows.append(asdict(report) | finding.as_dict())
        if not as_json:
            _print(report, finding)
    if as_json:
        typer.echo(json.dumps(rows))
    elif not rows:
        typer.echo("No plugin besides those of fdmo is installed.")
    if any(row["status"] == PROBLEM for row in rows):
        raise typer.Exit(1)


def _probed(candidates: Iterable["Candidate"], seconds: float) -> Iterator["PluginReport"]:
    from fdmo_core.plugin_probe import probe

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(
            lambda one: probe(one.name, one.distribution, seconds=seconds), candidates
        )


def _asked(candidates: Iterable["Candidate"]) -> Iterator[tuple["PluginReport", Finding]]:
    """Yield the plugins that the options and the environment leave out."""
    from fdmo_core.plugin_probe import PluginReport

    for one in candidates:
        yield (
            PluginReport(one.name, one.distribution, one.version),
            Finding(OK, "left out as asked, by --no-plugin, FDMO_NO_PLUGIN or FDMO_PLUGINS"),
        )


def _judged(reports: Iterable["PluginReport"]) -> Iterator[tuple["PluginReport", Finding]]:
    """Yield each report with what it means beside fdmo's own plugins and those before it."""
    from fdmo_core.plugin_loading import load_plugins
    from fdmo_core.plugin_selection import ONLY_VARIABLE

    own = load_plugins(environ={ONLY_VARIABLE: "fdmo"})
    owners = dict.fromkeys(own.components, "fdmo")
    for report in reports:
        finding = finding_on(report, owners)
        if finding.status != PROBLEM:
            owners |= dict.fromkeys(report.components, report.distribution)
        yield report, finding


def finding_on(report: "PluginReport", owners: Mapping[str, str]) -> Finding:
    """Return what a report means.

    Args:
        report: On one plugin.
        owners: Distributions of the components of the plugins before it, by name.
    """
    at = f" ({report.place})" if report.place else ""
    without = f"or leave it out with '--no-plugin {report.distribution}'"
    another = f"install another version of {report.distribution}, " if report.version else ""
    if report.timed_out:
        return Finding(
            PROBLEM,
            f"hangs: it was stopped after {report.seconds:g} s{at}",
            f"Let it wait in a method of the component, not at import, {without}. If it is only "
            f"slow, raise --seconds.",
        )
    if report.error:
        return Finding(
            PROBLEM,
            f"does not load{at}: {report.error}",
            f"Repair it there, {another}{without}.",
        )
    for name in report.components:
        if name in owners:
            return Finding(
                PROBLEM,
                f"does not load: '{name}' is the name of a component of {owners[name]} too",
                f"Change the name in its config class, {without}.",
            )
    return _manners(report, at)


def _manners(report: "PluginReport", at: str) -> Finding:
    """Return how a plugin that loads behaves at import."""
    if report.changed:
        besides = ". It writes to standard output too" if report.stdout else ""
        return Finding(
            PROBLEM,
            f"changes at import{at}: {', '.join(report.changed)}{besides}",
            "All of fdmo then computes otherwise because the plugin is installed. Draw from the "
            "generator that is passed in, and set nothing for the whole process.",
        )
    if report.stdout:
        first = report.stdout.strip().partition("\n")[0]
        return Finding(
            WARNING,
            f"writes to standard output at import{at}: {first}",
            "fdmo sends it to standard error, so that --json stays readable. Remove the print, or "
            "use logging.",
        )
    found = f"supplies {', '.join(report.components)}; imported in {report.seconds:.2f} s"
    if report.seconds > SLOW_SECONDS:
        return Finding(
            WARNING,
            f"{found}, which every command waits for",
            "Import heavy packages inside the functions that use them.",
        )
    return Finding(OK, found)


def _print(report: "PluginReport", finding: Finding) -> None:
    typer.echo(f"{finding.status:<7}  '{report.plugin}' of {report.origin}: {finding.found}")
    if finding.advice:
        typer.echo(f"{'':<7}  -> {finding.advice}")
