"""Find the plugins that there are, and where their code is, without running any of it."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from fdmo_core.component_origins import describe_origin
from fdmo_core.errors import PluginError

ENTRY_POINT_GROUP = "fdmo"
OWN_DISTRIBUTION = "fdmo"


@dataclass(frozen=True)
class Candidate:
    """A plugin that was found and not loaded yet.

    Attributes:
        name: By which messages report it.
        distribution: The installed package, or the name of the file, that it comes from.
        version: Of that package; empty for a file.
        source: What to import: an entry point or a file; or a module that is imported already.
    """

    name: str
    distribution: str
    version: str
    source: EntryPoint | Path | ModuleType

    @property
    def is_own(self) -> bool:
        """Whether fdmo itself brings it."""
        return self.distribution == OWN_DISTRIBUTION

    @property
    def origin(self) -> str:
        """Distribution and version, as messages name them."""
        return describe_origin(self.distribution, self.version)

    def load(self) -> object:
        """Import it and return what holds the hooks.

        Raises:
            PluginError: It is a file that cannot be imported by its name; besides, whatever its
                code raises.
        """
        if isinstance(self.source, EntryPoint):
            if not _module_of(self.source):
                raise PluginError(
                    f"Its entry point is {self.source.value!r}. Expected the name of a module, "
                    f"such as 'fdmo_mine'. Correct [project.entry-points.fdmo] and install again."
                )
            return self.source.load()
        return _import_file(self.source) if isinstance(self.source, Path) else self.source

    def file(self) -> Path | None:
        """Return the file of its module, found without importing anything of the plugin."""
        if isinstance(self.source, Path):
            return self.source
        spec = self._specs()[-1]
        return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None

    def roots(self) -> list[Path]:
        """Return the folders, or the file, that hold the plugin's own code."""
        if isinstance(self.source, Path):
            return [self.source.parent]
        spec = self._specs()[0]
        if spec is None:
            return []
        if spec.submodule_search_locations:
            return [Path(one) for one in spec.submodule_search_locations]
        return [Path(spec.origin)] if spec.origin else []

    def _specs(self) -> list[ModuleSpec | None]:
        """Return where the module and the packages around it are, outermost first."""
        source = self.source
        names = (_module_of(source) if isinstance(source, EntryPoint) else self.name).split(".")
        found: list[ModuleSpec | None] = [_top(names[0])]
        for end in range(2, len(names) + 1):
            outer = found[-1]
            folders = outer.submodule_search_locations if outer else None
            found.append(PathFinder.find_spec(".".join(names[:end]), folders) if folders else None)
        return found


def _module_of(point: EntryPoint) -> str:
    """Return the module that an entry point names, whatever else it says; "" if it names none."""
    match = EntryPoint.pattern.match(point.value)
    return match["module"] if match else ""


def _top(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ValueError:  # a module that was made by hand
        return None


def _import_file(path: Path) -> ModuleType:
    """Import a file by its module name, so that worker processes can do so too."""
    name = path.stem
    if not name.isidentifier():
        raise PluginError(
            f"The file cannot be imported as '{name}'. Expected a name of letters, digits and "
            f"underscores that begins with no digit. Rename the file."
        )
    there = _top(name)
    if name not in sys.modules and (there is None or there.origin is None):
        sys.path.append(str(path.parent))  # a folder of that name is no hindrance
    elif there is None or Path(there.origin or "").resolve() != path:
        other = there.origin if there else "made by hand"
        raise PluginError(
            f"There is another module '{name}' ({other}). Expected a file name that no installed "
            f"module has. Rename {path}."
        )
    return import_module(name)


def find_candidates(folders: Iterable[Path] = ()) -> list[Candidate]:
    """Return every plugin: fdmo's own, then in order of distribution and entry point, then files.

    Args:
        folders: Where each Python file is a plugin, except those whose name begins with ``_``.
    """
    found = [_installed(point) for point in entry_points(group=ENTRY_POINT_GROUP)]
    found.sort(key=lambda one: (not one.is_own, one.distribution, one.name))
    return [*found, *(one for folder in folders for one in _files_in(folder))]


def _installed(point: EntryPoint) -> Candidate:
    fields = point.dist.metadata.json if point.dist else {}  # one that is torn lacks them
    name, version = (str(fields.get(key, "")) for key in ("name", "version"))
    return Candidate(point.name, name or "unknown", version, point)


def _files_in(folder: Path) -> Iterator[Candidate]:
    for path in sorted(folder.glob("*.py")):
        if path.is_file() and not path.name.startswith("_"):
            yield Candidate(path.stem, path.name, "", path.resolve())


def find_candidate(name: str, distribution: str, found: Iterable[Candidate]) -> Candidate:
    """Return the one of a name and a distribution among those that were found.

    Raises:
        PluginError: There is none.
    """
    plugins = {(one.name, one.distribution): one for one in found}
    if (name, distribution) in plugins:
        return plugins[name, distribution]
    known = ", ".join(f"'{one}' of {origin}" for one, origin in plugins)
    raise PluginError(
        f"There is no plugin '{name}' of {distribution}. Expected one of: {known}. Install it, or "
        f"correct the name."
    )
