"""Which of the plugins that are there are loaded: what the environment and the options narrow."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from fdmo_core.component_origins import same_distribution
from fdmo_core.errors import ConfigError
from fdmo_core.plugin_candidates import Candidate

ONLY_VARIABLE = "FDMO_PLUGINS"
WITHOUT_VARIABLE = "FDMO_NO_PLUGIN"  # --no-plugin sets it, so that worker processes know it
FOLDERS_VARIABLE = "FDMO_PLUGINS_DIR"  # likewise for --plugins-dir


@dataclass(frozen=True)
class PluginSelection:
    """What is loaded besides fdmo's own plugins, which always are.

    A plugin is named by its distribution or its entry point; upper case, ``-``, ``_`` and ``.``
    make no difference.

    Attributes:
        only: The plugins that are loaded; None for all.
        without: The plugins that are not.
        folders: Where each Python file is a plugin.
    """

    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "PluginSelection":
        """Return what the variables say; an empty one says nothing.

        Raises:
            ConfigError: A folder is not there.
        """
        folders = [one for one in environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if one]
        for one in folders:
            if not Path(one).is_dir():
                raise ConfigError(
                    f"There is no folder {one} to take plugins from. Expected one that holds a "
                    f"Python file for each plugin. Correct --plugins-dir or {FOLDERS_VARIABLE}."
                )
        return cls(
            only=_names(environ.get(ONLY_VARIABLE, "")) or None,
            without=_names(environ.get(WITHOUT_VARIABLE, "")),
            folders=tuple(dict.fromkeys(Path(one).resolve() for one in folders)),
        )

    def split(self, found: Sequence[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
        """Return the plugins to load and those left out, each in the order given.

        Raises:
            ConfigError: A name is of no plugin that was found, or fdmo's own are to be left out.
        """
        others = [one for one in found if not one.is_own]
        for name in self.without:
            _require_known(name, others, "--no-plugin", WITHOUT_VARIABLE)
        for name in self.only or ():
            _require_known(name, found, ONLY_VARIABLE, ONLY_VARIABLE)
        left_out = [one for one in others if not self._takes(one)]
        return [one for one in found if one not in left_out], left_out

    def _takes(self, candidate: Candidate) -> bool:
        is_wanted = self.only is None or any(_is_called(candidate, one) for one in self.only)
        return is_wanted and not any(_is_called(candidate, one) for one in self.without)


def _names(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _is_called(candidate: Candidate, name: str) -> bool:
    return any(same_distribution(name, one) for one in (candidate.distribution, candidate.name))


def _require_known(name: str, known: Sequence[Candidate], option: str, variable: str) -> None:
    if any(_is_called(one, name) for one in known):
        return
    names = list(dict.fromkeys(part for one in known for part in (one.distribution, one.name)))
    close = get_close_matches(name, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    given = option if option == variable else f"{option} ({variable})"
    raise ConfigError(
        f"Unknown plugin '{name}' in {given}. Expected the distribution or the name of one of: "
        f"{', '.join(names) or 'none, for no plugin besides those of fdmo is installed'}.{hint} "
        f"Correct the name, or leave it out; 'fdmo plugins' lists what is installed."
    )
