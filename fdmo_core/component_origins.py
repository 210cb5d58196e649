"""Which distribution a run had its components from, as ``environment.json`` keeps it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fdmo_core.errors import RunFolderError
from fdmo_core.json_files import read_json
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.manifest import ENVIRONMENT_FILE

DEPTHS = ("", "*/*/", "*/*/*/")  # of a run; of the runs and cells of an experiment


class Origin(NamedTuple):
    """Where a run had a component from.

    Attributes:
        kind: Of the component.
        run: Folder of the run.
        distribution: The package.
        version: Of that package; "" where the plugin was one file, named by ``distribution``.
    """

    kind: str
    run: Path
    distribution: str
    version: str

    def __str__(self) -> str:
        return describe_origin(self.distribution, self.version)


def describe_origin(distribution: str, version: str) -> str:
    """Return how messages name a distribution, or a file, which has no version."""
    return f"{distribution} {version}".rstrip()


def same_distribution(one: str, other: str) -> bool:
    """Return whether two names are one to an installer: case, ``-``, ``_`` and ``.`` are alike."""
    plain, other_plain = (re.sub(r"[-_.]+", "-", name).lower() for name in (one, other))
    return plain == other_plain


def read_origins(folders: Iterable[Path]) -> dict[str, Origin]:
    """Return where runs had their components from, by the component's name.

    Args:
        folders: Run folders, or folders of experiments with run folders in them. The first one
            that names a component decides; one that is not there, or was written before
            components were noted, says nothing.

    Raises:
        RunFolderError: A file is broken.
    """
    found: dict[str, Origin] = {}
    for folder in folders:
        files = [file for depth in DEPTHS for file in sorted(folder.glob(depth + ENVIRONMENT_FILE))]
        for file in files:
            try:
                content = read_json(file)
                for section, one in content.get("components", {}).items():
                    kind = KIND_OF_SECTION[section].name
                    origin = Origin(
                        kind, file.parent, str(one["distribution"]), str(one["version"])
                    )
                    found.setdefault(str(one["name"]), origin)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunFolderError(
                    f"{file} cannot be read: {error!r}. Expected the file as fdmo wrote it. "
                    f"Restore it, or remove it: then nobody knows which plugins the run had."
                ) from error
    return found
