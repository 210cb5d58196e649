"""``fdmo plugins check``: whether components keep to the contract of their kind."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdmo_cli.options import JsonOption

if TYPE_CHECKING:
    from fdmo_core.plugin_loading import LoadedComponent
    from fdmo_core.registry import Registry
    from fdmo_core.testing.running import Outcome

NameArgument = Annotated[
    str | None,
    typer.Argument(help="A component, or a distribution; default: all that are not fdmo's own."),
]
OwnSetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one setting of the component: key=value; repeatable."),
]
AllOption = Annotated[bool, typer.Option("--all", help="Check every component, fdmo's own too.")]


def check(
    name: NameArgument = None,
    settings: OwnSetOption = None,
    every: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check that a component does what every component of its kind must do."""
    from fdmo_cli.session import load_registry

    registry = load_registry()
    chosen = _chosen(registry, name, every=every)
    content = _content(registry, chosen, settings or ())
    reports = []
    for component in chosen:
        outcomes = []
        if not as_json:
            typer.echo(f"{component.name} ({component.kind.name}) of {component.origin}")
        for one in _outcomes(component, content):
            outcomes.append(one)
            if not as_json:
                typer.echo(_lines(one))
        if not as_json:
            typer.echo(_sum(outcomes))
        reports.append(_as_data(component, outcomes))
    if as_json:
        typer.echo(json.dumps(reports))
    if any(one["status"] == "failed" for report in reports for one in report["checks"]):
        raise typer.Exit(1)


def _chosen(registry: "Registry", name: str | None, *, every: bool) -> list["LoadedComponent"]:
    """Return the components to check.

    Raises:
        ConfigError: There is no component and no distribution of that name, or none to check.
    """
    from fdmo_core.errors import ConfigError
    from fdmo_core.plugin_loading import OWN_DISTRIBUTION

    if name is not None and every:
        raise ConfigError(f"'{name}' is given beside --all. Expected one of them. Leave one out.")
    if name is not None:
        return registry.of_distribution(name) or [registry.find(name)]
    chosen = [one for one in registry.components() if every or one.distribution != OWN_DISTRIBUTION]
    if not chosen:
        raise ConfigError(
            "Every component that is loaded is fdmo's own. Expected another plugin to check. "
            "Install one, name a component, or use --all."
        )
    return chosen


def _content(
    registry: "Registry", chosen: list["LoadedComponent"], settings: Iterable[str]
) -> dict[str, Any]:
    """Return the section of a configuration that the settings describe, without the name.

    Raises:
        ConfigError: A setting is not ``key=value``, or there are several components to set.
    """
    from fdmo_cli.overrides import override
    from fdmo_core.errors import ConfigError

    given = list(settings)
    for one in given:
        if "=" not in one or "." in one.partition("=")[0] or len(chosen) > 1:
            raise ConfigError(
                f"'--set {one}' does not say what to change for {len(chosen)} component(s). "
                f"Expected key=value, without a section, and one component. For instance: fdmo "
                f"plugins check focal --set gamma=2"
            )
    if not given:
        return {}
    section, name = chosen[0].kind.sections[0], chosen[0].name
    content = override({}, registry, plugins=[name], settings=[f"{section}.{one}" for one in given])
    return dict(content[section])


def _outcomes(component: "LoadedComponent", content: dict[str, Any]) -> Iterator["Outcome"]:
    """Yield what comes of each check; what a component prints goes to standard error."""
    from fdmo_core.testing import checks_for
    from fdmo_core.testing.running import outcomes_of

    checks = checks_for(component.kind.name)
    outcomes = outcomes_of(component.component, content, checks)
    while True:
        with redirect_stdout(sys.stderr):
            one = next(outcomes, None)
        if one is None:
            return
        yield one


def _lines(one: "Outcome") -> str:
    line = f"  {one.status:<14} {one.seconds:6.2f} s  {one.text}"
    return f"{line}\n{' ' * 27}{one.reason}" if one.reason else line


def _sum(outcomes: list["Outcome"]) -> str:
    counts = {"passed": 0, "failed": 0, "not applicable": 0}
    for one in outcomes:
        counts[one.status] += 1
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"  {told}; {sum(one.seconds for one in outcomes):.1f} s"


def _as_data(component: "LoadedComponent", outcomes: list["Outcome"]) -> dict[str, Any]:
    return {
        "name": component.name,
        "kind": component.kind.name,
        "distribution": component.distribution,
        "version": component.version,
        "checks": [asdict(one) for one in outcomes],
    }
