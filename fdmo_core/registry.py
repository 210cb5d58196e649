"""From a section of a run's config to a component class and its validated config."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from fdmo_core.errors import UnknownComponentError
from fdmo_core.kinds import KIND_OF_INTERFACE, Kind
from fdmo_core.plugin_loading import LoadedComponent, LoadedPlugins
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


class Registry:
    """The components of all loaded plugins.

    Args:
        plugins: What :func:`fdmo_core.plugin_loading.load_plugins` returned.
    """

    def __init__(self, plugins: LoadedPlugins) -> None:
        self._components = plugins.components
        self.failures = plugins.failures
        self.left_out = plugins.left_out

    def components(self, kind: Kind | None = None) -> list[LoadedComponent]:
        """Return the components of a kind, or all, in order of kind and name."""
        chosen = [one for one in self._components.values() if kind is None or one.kind is kind]
        order = [kind.name for kind in KIND_OF_INTERFACE.values()]
        return sorted(chosen, key=lambda one: (order.index(one.kind.name), one.name))

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
        names = [one.name for one in known]
        close = get_close_matches(name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        failed = "".join(f" {str(failure).rstrip('.')}." for failure in self.failures)
        failed += "".join(
            f" Plugin '{one.name}' of {one.origin} is left out as asked." for one in self.left_out
        )
        return (
            f"Unknown {what} '{name}'. Registered: {', '.join(names) or 'none'}.{hint} If a "
            f"plugin supplies it, check that 'fdmo plugins' lists that plugin.{failed}"
        )
