"""Load plugins one by one, so that a broken one takes nothing else down."""

import inspect
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, get_args

import pluggy

from fdmo_core import hookspecs
from fdmo_core.errors import PluginError
from fdmo_core.interfaces import ComponentConfig
from fdmo_core.kinds import KINDS, Kind

ENTRY_POINT_GROUP = "fdmo"
STRICT_VARIABLE = "FDMO_STRICT_PLUGINS"
OWN_DISTRIBUTION = "fdmo"


@dataclass(frozen=True)
class LoadedComponent:
    """A component class that a plugin supplies.

    Attributes:
        name: By which configs choose it.
        kind: Of which kind it is.
        component: The class.
        distribution: The installed package that it comes from.
        version: Of that package.
    """

    name: str
    kind: Kind
    component: type[Any]
    distribution: str
    version: str

    @property
    def summary(self) -> str:
        """The first line of the component's docstring."""
        return (inspect.getdoc(self.component) or "").partition("\n")[0]


@dataclass(frozen=True)
class PluginFailure:
    """A plugin that is left out, and why."""

    plugin: str
    distribution: str
    reason: str

    def __str__(self) -> str:
        return f"Plugin '{self.plugin}' of {self.distribution} is left out: {self.reason}"


@dataclass(frozen=True)
class LoadedPlugins:
    """All components by name, and the plugins that could not be loaded."""

    components: Mapping[str, LoadedComponent] = field(default_factory=dict)
    failures: tuple[PluginFailure, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A plugin that was found and not loaded yet."""

    name: str
    distribution: str
    version: str
    source: EntryPoint | ModuleType

    def module(self) -> object:
        return self.source.load() if isinstance(self.source, EntryPoint) else self.source


def load_plugins(
    extra: Iterable[ModuleType] = (),
    *,
    installed: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> LoadedPlugins:
    """Return the components of the installed and the extra plugins.

    fdmo's own plugins come first, then the others in order of distribution and entry point. A
    plugin is taken whole or, where anything about it is wrong, left out whole.

    Args:
        extra: Plugin modules to add; tests pass theirs here.
        installed: Whether to load the entry points of the group ``fdmo``.
        environ: Where ``FDMO_STRICT_PLUGINS=1`` makes any failure fatal.

    Raises:
        PluginError: A plugin is broken and failures are fatal.
    """
    candidates = [_installed(point) for point in entry_points(group=ENTRY_POINT_GROUP)]
    candidates = sorted(candidates if installed else [], key=_order)
    candidates += [_Candidate(one.__name__, "(not installed)", "", one) for one in extra]
    components: dict[str, LoadedComponent] = {}
    failures: list[PluginFailure] = []
    for candidate in candidates:
        try:
            components |= _components_of(candidate, components)
        except (Exception, SystemExit) as error:  # a stranger's code may raise anything
            reason = (
                str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            )
            one_line = " ".join(reason.split())
            failures.append(PluginFailure(candidate.name, candidate.distribution, one_line))
    if failures and environ.get(STRICT_VARIABLE) == "1":
        raise PluginError(
            "\n".join(map(str, failures)) + f"\n{STRICT_VARIABLE}=1 makes this fatal. Repair or "
            f"uninstall the distribution, or unset the variable."
        )
    return LoadedPlugins(components, tuple(failures))


def _installed(point: EntryPoint) -> _Candidate:
    distribution = point.dist
    name, version = (distribution.name, distribution.version) if distribution else ("unknown", "")
    return _Candidate(point.name, name, version, point)


def _order(candidate: _Candidate) -> tuple[bool, str, str]:
    return candidate.distribution != OWN_DISTRIBUTION, candidate.distribution, candidate.name


def _components_of(
    candidate: _Candidate, taken: Mapping[str, LoadedComponent]
) -> dict[str, LoadedComponent]:
    """Return what a plugin supplies, by name.

    Each plugin gets a manager of its own: what goes wrong in one cannot touch another.
    """
    manager = pluggy.PluginManager("fdmo")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(candidate.module(), candidate.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{error}. Expected hooks among: {_hook_names()}.") from error
    found: dict[str, LoadedComponent] = {}
    for kind in KINDS:
        classes: list[type[Any]] = []
        getattr(manager.hook, kind.hook)(register=classes.append)
        for component in classes:
            name = _checked_name(component, kind)
            other = found.get(name) or taken.get(name)
            if other is not None:
                raise PluginError(
                    f"{kind.name} '{name}' ({_path(component)}) has the name of a "
                    f"{other.kind.name} of {other.distribution} ({_path(other.component)}). "
                    f"Expected a name that is unique over all kinds. Change the name in its "
                    f"config class."
                )
            found[name] = LoadedComponent(
                name, kind, component, candidate.distribution, candidate.version
            )
    if not found:
        raise PluginError(
            f"It registers no component. Expected at least one function marked with hookimpl in "
            f"the module of the entry point, named as one of: {_hook_names()}. Add it, or correct "
            f"the entry point."
        )
    return found


def _hook_names() -> str:
    return ", ".join(kind.hook for kind in KINDS)


def _checked_name(component: type[Any], kind: Kind) -> str:
    """Return the name of a component class that keeps to its interface."""
    expected = f"a final subclass of fdmo_core.{kind.interface.__name__}"
    if not (inspect.isclass(component) and issubclass(component, kind.interface)):
        raise PluginError(
            f"{kind.hook} got {component!r}. Expected {expected}. Register the class itself."
        )
    if inspect.isabstract(component):
        missing = ", ".join(sorted(component.__abstractmethods__))
        raise PluginError(
            f"{_path(component)} does not define {missing}. Expected {expected}. Define what is "
            f"missing."
        )
    config = getattr(component, "config_class", None)
    if not (inspect.isclass(config) and issubclass(config, ComponentConfig)):
        raise PluginError(
            f"{_path(component)} has no config class. Expected config_class to be a subclass of "
            f"fdmo_core.ComponentConfig. Set it on the class."
        )
    name_field = config.model_fields.get("name")
    if name_field is None or get_args(name_field.annotation) != (name_field.default,):
        raise PluginError(
            f"{_path(config)} does not fix a name. Expected a first field such as "
            f'name: Literal["mine"] = "mine". Add it.'
        )
    if not config.model_config.get("frozen") or config.model_config.get("extra") != "forbid":
        raise PluginError(
            f"{_path(config)} is not frozen or allows unknown keys. Expected the model_config of "
            f"fdmo_core.ComponentConfig. Do not override frozen and extra."
        )
    return str(name_field.default)


def _path(item: type[Any]) -> str:
    return f"{item.__module__}.{item.__qualname__}"
