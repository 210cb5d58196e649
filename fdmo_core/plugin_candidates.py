"""Find the plugins that there are, and where their code is, without running any of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from fdmo_core.errors import PluginError

ENTRY_POINT_GROUP = "fdmo"
OWN_DISTRIBUTION = "fdmo"


@dataclass(frozen=True)
class Candidate:
    """A plugin that was found and not loaded yet.

    Attributes:
        name: By which messages report it.
        distribution: The installed package that it comes from.
        version: Of that package.
        source: What to import, or a module that is imported already.
    """

    name: str
    distribution: str
    version: str
    source: EntryPoint | ModuleType

    @property
    def is_own(self) -> bool:
        """Whether fdmo itself brings it."""
        return self.distribution == OWN_DISTRIBUTION

    @property
    def module(self) -> str:
        """Name of the module that holds its hooks."""
        return self.source.module if isinstance(self.source, EntryPoint) else self.source.__name__

    def load(self) -> object:
        """Import it and return what holds the hooks."""
        return self.source.load() if isinstance(self.source, EntryPoint) else self.source

    def file(self) -> Path | None:
        """Return the file of its module, found without importing anything of the plugin."""
        spec = self._specs()[-1]
        return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None

    def roots(self) -> list[Path]:
        """Return the folders, or the file, that hold the plugin's own code."""
        spec = self._specs()[0]
        if spec is None:
            return []
        folders = spec.submodule_search_locations
        return [Path(one) for one in (folders or [spec.origin]) if one]

    def _specs(self) -> list[ModuleSpec | None]:
        """Return where the module and the packages around it are, outermost first."""
        names = self.module.split(".")
        found: list[ModuleSpec | None] = [_top(names[0])]
        for end in range(2, len(names) + 1):
            outer = found[-1]
            folders = outer.submodule_search_locations if outer else None
            found.append(PathFinder.find_spec(".".join(names[:end]), folders) if folders else None)
        return found


def _top(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ValueError:  # a module that was made by hand
        return None


def find_candidates() -> list[Candidate]:
    """Return every plugin: fdmo's own first, then in order of distribution and entry point."""
    found = [_installed(point) for point in entry_points(group=ENTRY_POINT_GROUP)]
    return sorted(found, key=lambda one: (not one.is_own, one.distribution, one.name))


def _installed(point: EntryPoint) -> Candidate:
    distribution = point.dist
    name, version = (distribution.name, distribution.version) if distribution else ("unknown", "")
    return Candidate(point.name, name, version, point)


def find_candidate(name: str, distribution: str) -> Candidate:
    """Return the plugin of a name and a distribution.

    Raises:
        PluginError: There is none.
    """
    found: Sequence[Candidate] = find_candidates()
    for one in found:
        if (one.name, one.distribution) == (name, distribution):
            return one
    known = ", ".join(f"'{one.name}' of {one.distribution}" for one in found)
    raise PluginError(
        f"There is no plugin '{name}' of {distribution}. Expected one of: {known}. Install it, or "
        f"correct the name."
    )
