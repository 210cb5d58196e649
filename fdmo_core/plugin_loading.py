"""Load plugins one by one, so that a broken one takes nothing else down."""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from traceback import TracebackException
from types import ModuleType
from typing import Any

import pluggy

from fdmo_core import hookspecs
from fdmo_core.api_version import require_same_version
from fdmo_core.component_origins import describe_origin
from fdmo_core.errors import PluginError
from fdmo_core.kinds import KINDS, Kind
from fdmo_core.plugin_candidates import OWN_DISTRIBUTION, Candidate, find_candidates
from fdmo_core.plugin_import import guarded, place_of, shown
from fdmo_core.plugin_selection import PluginSelection
from fdmo_core.registration import checked_name, path_of

__all__ = [
    "OWN_DISTRIBUTION",
    "LoadedComponent",
    "LoadedPlugins",
    "PluginFailure",
    "load_plugins",
    "select_candidates",
]

STRICT_VARIABLE = "FDMO_STRICT_PLUGINS"


@dataclass(frozen=True)
class LoadedComponent:
    """A component class that a plugin supplies.

    Attributes:
        name: By which configs choose it.
        kind: Of which kind it is.
        component: The class.
        distribution: The installed package, or the file, that it comes from.
        version: Of that package; empty for a file.
    """

    name: str
    kind: Kind
    component: type[Any]
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """Distribution and version, as messages name them."""
        return describe_origin(self.distribution, self.version)

    @property
    def summary(self) -> str:
        """The first line of the component's docstring."""
        return (inspect.getdoc(self.component) or "").partition("\n")[0]


@dataclass(frozen=True)
class PluginFailure:
    """A plugin that is left out, and why.

    Attributes:
        plugin: Its entry point, or its module where it is one file.
        distribution: The installed package, or the file, that it comes from.
        reason: On one line.
        version: Of the package; empty where there is none.
        place: File and line in the plugin's own code, where they are known.
    """

    plugin: str
    distribution: str
    reason: str
    version: str = ""
    place: str = ""

    def __str__(self) -> str:
        origin = describe_origin(self.distribution, self.version)
        place = f" ({self.place})" if self.place else ""
        return f"Plugin '{self.plugin}' of {origin} is left out{place}: {self.reason}"


@dataclass(frozen=True)
class LoadedPlugins:
    """What came of loading all plugins.

    Attributes:
        components: All components by name.
        failures: The plugins that could not be loaded.
        left_out: The plugins that were not to be loaded; see :class:`PluginSelection`.
    """

    components: Mapping[str, LoadedComponent] = field(default_factory=dict)
    failures: tuple[PluginFailure, ...] = ()
    left_out: tuple[Candidate, ...] = ()


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
        environ: Where ``FDMO_PLUGINS``, ``FDMO_NO_PLUGIN`` and ``FDMO_PLUGINS_DIR`` say which
            of the installed plugins are loaded, and from which folders, and where
            ``FDMO_STRICT_PLUGINS=1`` makes any failure fatal.

    Raises:
        PluginError: A plugin is broken and failures are fatal.
        ConfigError: A variable names a plugin or a folder that is not there.
    """
    candidates, left_out = select_candidates(environ) if installed else ([], [])
    candidates += [Candidate(one.__name__, "(not installed)", "", one) for one in extra]
    components: dict[str, LoadedComponent] = {}
    failures: list[PluginFailure] = []
    for candidate in candidates:
        try:
            with guarded(candidate):
                components |= components_of(candidate, components)
        except KeyboardInterrupt:  # by a person
            raise
        except BaseException as error:  # a stranger's code may raise anything
            failures.append(failure_of(candidate, error))
    if failures and environ.get(STRICT_VARIABLE) == "1":
        raise PluginError(
            "\n".join(map(str, failures)) + f"\n{STRICT_VARIABLE}=1 makes this fatal. Repair or "
            f"uninstall the distribution, or unset the variable."
        )
    return LoadedPlugins(components, tuple(failures), tuple(left_out))


def select_candidates(environ: Mapping[str, str]) -> tuple[list[Candidate], list[Candidate]]:
    """Return the plugins to load, and those that the environment leaves out.

    Raises:
        ConfigError: A variable names a plugin or a folder that is not there.
    """
    selection = PluginSelection.from_environ(environ)
    return selection.split(find_candidates(selection.folders))


def failure_of(candidate: Candidate, error: BaseException) -> PluginFailure:
    """Return what messages say of a plugin that raised an error."""
    reason = "".join(TracebackException.from_exception(error).format_exception_only())
    if isinstance(error, PluginError):
        reason = str(error)
    return PluginFailure(
        candidate.name,
        candidate.distribution,
        shown(reason),
        candidate.version,
        place_of(error, candidate),
    )


def components_of(
    candidate: Candidate, taken: Mapping[str, LoadedComponent]
) -> dict[str, LoadedComponent]:
    """Import a plugin and return what it supplies, by name.

    Each plugin gets a manager of its own: what goes wrong in one cannot touch another.

    Args:
        candidate: The plugin.
        taken: The components of the plugins before it.

    Raises:
        PluginError: What it registers is not as it must be; besides, whatever its code raises.
    """
    file = candidate.file()
    if file is not None:
        require_same_version(file, candidate.origin)
    manager = pluggy.PluginManager("fdmo")
    manager.add_hookspecs(hookspecs)
    try:
        module = candidate.load()
        manager.register(module, candidate.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{error}. Expected hooks among: {_hook_names()}.") from error
    found: dict[str, LoadedComponent] = {}
    for kind in KINDS:
        register: Callable[[Any], None] = partial(_take, candidate, kind, found, taken)
        getattr(manager.hook, kind.hook)(register=register)
    if not found:
        raise _registers_nothing(module)
    return found


def _take(
    candidate: Candidate,
    kind: Kind,
    found: dict[str, LoadedComponent],
    taken: Mapping[str, LoadedComponent],
    component: Any,
) -> None:
    """Add a class to what was found; an error is raised in the hook that registers it."""
    name = checked_name(component, kind)
    other = found.get(name) or taken.get(name)
    if other is not None:
        raise PluginError(
            f"{kind.name} '{name}' ({path_of(component)}) has the name of another component, the "
            f"{other.kind.name} of {other.distribution} ({path_of(other.component)}). Expected a "
            f"name that is unique over all kinds. Change the name in its config class."
        )
    found[name] = LoadedComponent(name, kind, component, candidate.distribution, candidate.version)


def _registers_nothing(module: object) -> PluginError:
    """Return the error on a plugin without a component; it names a hook that is not marked."""
    unmarked = [kind.hook for kind in KINDS if hasattr(module, kind.hook)]
    if unmarked:
        return PluginError(
            f"It registers no component, though it has {', '.join(unmarked)}. Expected a function "
            f"of that name that is marked with hookimpl and registers a class. Write @hookimpl "
            f"above it, or have it call register."
        )
    return PluginError(
        f"It registers no component. Expected at least one function marked with hookimpl in "
        f"the module of the plugin, named as one of: {_hook_names()}. Add it, or correct "
        f"the entry point."
    )


def _hook_names() -> str:
    return ", ".join(kind.hook for kind in KINDS)
