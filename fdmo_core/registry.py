"""From a section of a run's config to a component class and its validated config."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from fdmo_core.component_origins import Origin, read_origins, same_distribution
from fdmo_core.errors import ConfigError, UnknownComponentError
from fdmo_core.kinds import KIND_OF_INTERFACE, Kind
from fdmo_core.plugin_loading import OWN_DISTRIBUTION, LoadedComponent, LoadedPlugins
from fdmo_core.settings import read_settings

ComponentT = TypeVar("ComponentT")


@dataclass(frozen=True)
class Resolved(Generic[ComponentT]):
    """A component that a config chose.

    Attributes:
        component: The class; construct it with ``config`` and runtime facts.
        config: An instance of its ``config_class``.
        origin: Where the class comes from.
    """

    component: type[ComponentT]
    config: Any
    origin: LoadedComponent

    @property
    def settings(self) -> dict[str, Any]:
        """The config as plain data, defaults included."""
        settings: dict[str, Any] = self.config.model_dump(mode="json")
        return settings


@dataclass(frozen=True)
class Unresolved:
    """Stands for a component that a trained run names and that cannot be had.

    Whoever reads the run may never need it; whoever does is told the reason.

    Attributes:
        settings: What the run says of it.
        reason: The message.
    """

    settings: Mapping[str, Any]
    reason: str

    def _raise(self) -> NoReturn:
        raise ConfigError(self.reason)

    component = config = origin = property(_raise)


class Registry:
    """The components of all loaded plugins.

    Args:
        plugins: What :func:`fdmo_core.plugin_loading.load_plugins` returned.
        origins: Where runs had components from; see :meth:`with_runs`.
    """

    def __init__(self, plugins: LoadedPlugins, origins: Mapping[str, Origin] | None = None) -> None:
        self._plugins = plugins
        self._components = plugins.components
        self._origins = dict(origins or {})
        self.failures = plugins.failures
        self.left_out = plugins.left_out

    def with_runs(self, *folders: Path) -> "Registry":
        """Return a registry that also says which package to install for a component of these runs.

        Args:
            folders: Run folders, or folders of experiments, which need not be there.

        Raises:
            RunFolderError: What such a folder says of its components is broken.
        """
        return Registry(self._plugins, self._origins | read_origins(folders))

    def gone(self) -> dict[str, str]:
        """Return what to do about each component that the runs had and no plugin supplies here."""
        return {
            name: self._unknown(name, origin.kind, [])
            for name, origin in self._origins.items()
            if name not in self._components
        }

    def version_notices(self) -> list[str]:
        """Return a sentence for each plugin that is another one here than the runs had."""
        changed: dict[tuple[Path, str, str], list[str]] = {}
        for name, then in self._origins.items():
            now = self._components.get(name)
            if now is None or now.distribution == then.distribution == OWN_DISTRIBUTION:
                continue  # fdmo's own files have a format number
            if (now.distribution, now.version) != (then.distribution, then.version):
                which = then.run, str(then), now.origin
                changed.setdefault(which, []).append(f"{now.kind.name} '{name}'")
        return [
            f"{' and '.join(names)}: {run} had {then}, and here is {here}."
            for (run, then, here), names in changed.items()
        ]

    def components(self, kind: Kind | None = None) -> list[LoadedComponent]:
        """Return the components of a kind, or all, in order of kind and name."""
        chosen = [one for one in self._components.values() if kind is None or one.kind is kind]
        order = [kind.name for kind in KIND_OF_INTERFACE.values()]
        return sorted(chosen, key=lambda one: (order.index(one.kind.name), one.name))

    def of_distribution(self, name: str) -> list[LoadedComponent]:
        """Return what a distribution supplies; nothing if a component has that very name."""
        if name in self._components:
            return []
        return [one for one in self.components() if same_distribution(one.distribution, name)]

    def find(self, name: str) -> LoadedComponent:
        """Return the component of a name, whatever its kind.

        Raises:
            UnknownComponentError: No loaded plugin supplies it.
        """
        if name not in self._components:
            raise UnknownComponentError(self._unknown(name, "component", self.components()))
        return self._components[name]

    def resolve(
        self, interface: type[ComponentT], section: Mapping[str, Any]
    ) -> Resolved[ComponentT]:
        """Return the component that a config section names, with its validated config.

        Args:
            interface: The interface of the kind, such as ``Loss``.
            section: Such as ``{"name": "focal", "gamma": 2.0}``.

        Raises:
            UnknownComponentError: No loaded plugin supplies a component of that kind and name.
            pydantic.ValidationError: The other keys do not fit the component.
        """
        kind = KIND_OF_INTERFACE[interface]  # type: ignore[index]  # one of the interfaces
        name = str(section.get("name"))
        found = self._components.get(name)
        if found is None or found.kind is not kind:
            raise UnknownComponentError(self._unknown(name, kind.name, self.components(kind)))
        config = read_settings(found.component.config_class, section)
        return Resolved(found.component, config, found)

    def _unknown(self, name: str, what: str, known: list[LoadedComponent]) -> str:
        failed = "".join(f" {str(failure).rstrip('.')}." for failure in self.failures)
        failed += "".join(
            f" Plugin '{one.name}' of {one.origin} is left out as asked." for one in self.left_out
        )
        if (origin := self._origins.get(name)) is not None:
            return (
                f"{origin.kind.capitalize()} '{name}' is not here: {origin.run} had it from "
                f"{origin}. Expected that plugin, loaded. {self._how_to_get(origin)}"
                f"{failed and '.' + failed}"
            )
        names = [one.name for one in known]
        close = get_close_matches(name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        return (
            f"Unknown {what} '{name}'. Registered: {', '.join(names) or 'none'}.{hint} If a "
            f"plugin supplies it, check that 'fdmo plugins' lists that plugin.{failed}"
        )

    def _how_to_get(self, origin: Origin) -> str:
        """Return what to do to have a component that a run had, without the full stop."""
        if any(one.distribution == origin.distribution for one in self.left_out):
            return "Do not leave it out"
        if not origin.version:
            return "Give the folder of that file with --plugins-dir"
        return f"Install it: pip install {origin.distribution}=={origin.version}"
