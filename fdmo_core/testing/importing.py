"""Importing the plugin that a component comes from does nothing else."""

import os
from importlib.metadata import EntryPoint
from typing import Any

from fdmo_core.plugin_candidates import Candidate, find_candidates
from fdmo_core.plugin_probe import PluginReport, probe
from fdmo_core.plugin_selection import PluginSelection
from fdmo_core.testing.expectations import NotApplicable, expect

READ = "plugin_probe.PluginReport"
SECONDS = 20.0


def check_is_imported_without_side_effects(component: type[Any], config: Any) -> None:
    """Its plugin is imported in time, prints nothing and leaves global state as it was."""
    candidate = _candidate_of(component)
    report = probe(candidate.name, candidate.distribution, seconds=SECONDS)
    at = f" ({report.place})" if report.place else ""
    expect(
        not report.timed_out,
        f"Importing the plugin takes more than {SECONDS:g} seconds{at}. Expected a moment: read "
        f"files, and ask networks, when a component is built.",
        read=READ,
    )
    expect(
        not report.error,
        f"In a process of its own the plugin does not load: {report.error}{at}. Expected an import "
        f"that depends on nothing that happened before.",
        read=READ,
    )
    expect(
        not report.stdout,
        f"Importing the plugin writes to standard output: {report.stdout.strip()[:200]!r}. "
        f"Expected nothing there, where the JSON of a command goes.",
        read=READ,
    )
    expect(
        not report.changed,
        f"Importing the plugin changes global state: {_listed(report)}. Expected all of it as it "
        f"was; who runs the program decides on it.",
        read=READ,
    )


def _listed(report: PluginReport) -> str:
    return ", ".join(map(str, report.changed))


def _candidate_of(component: type[Any]) -> Candidate:
    """Return the plugin whose code holds the class.

    Raises:
        NotApplicable: It is one of fdmo itself, or no installed plugin has it.
    """
    module = component.__module__
    folders = PluginSelection.from_environ(os.environ).folders
    found = [one for one in find_candidates(folders) if _holds(one, module)]
    if not found:
        raise NotApplicable(f"No installed plugin has the module {module}.")
    if found[0].is_own:
        raise NotApplicable("It comes with fdmo itself.")
    return max(found, key=lambda one: len(_module_of(one)) * module.startswith(_module_of(one)))


def _holds(candidate: Candidate, module: str) -> bool:
    """Return whether a module belongs to the package, or is the file, of a plugin."""
    return module.partition(".")[0] == _module_of(candidate).partition(".")[0]


def _module_of(candidate: Candidate) -> str:
    source = candidate.source
    return source.module if isinstance(source, EntryPoint) else candidate.name
