"""What ``fdmo plugins new`` writes: names, files from templates, and a folder that appears whole.

The templates are texts with ``$name`` and a few more places to fill in; see :class:`Names`.
"""

import ast
import builtins
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from string import Template
from typing import TYPE_CHECKING

from fdmo_core.errors import ConfigError
from fdmo_core.files import cannot_write, make_folder

if TYPE_CHECKING:
    from fdmo_core.registry import Registry

TEMPLATES = Path(__file__).with_name("templates")
PACKAGE = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    ".gitignore": "gitignore.txt",
    ".github/workflows/ci.yml": "ci.yml.txt",
}  # file of a package: its template


@dataclass(frozen=True)
class Names:
    """How a component and all around it are called; what the templates fill in.

    Attributes:
        name: Of the component, as ``fdmo train --plugin`` takes it.
        kind: Of the component, as ``fdmo plugins`` shows it.
        distribution: The package that is installed, and its folder.
        module: What is imported.
        class_name: Of the component.
        selection: The sections of a run's configuration that choose the component.
    """

    name: str
    kind: str
    distribution: str
    module: str
    class_name: str
    selection: str

    @classmethod
    def of(cls, name: str, kind: str, registry: "Registry") -> "Names":
        """Return the names of a new component.

        Args:
            name: Of the component.
            kind: Of the component.
            registry: Whose names are taken.

        Raises:
            ConfigError: The kind is unknown, or the name is none or taken.
        """
        from fdmo_core.kinds import KINDS

        sections = {one.name: one.sections for one in KINDS}
        if kind not in sections:
            close = get_close_matches(kind, sections, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else "Use one of them."
            raise ConfigError(
                f"Unknown kind '{kind}'. Expected one of: {', '.join(sections)}. {hint}"
            )
        _require_well_formed(name)
        names = cls(
            name=name,
            kind=kind,
            distribution=f"fdmo-{name}",
            module=f"fdmo_{name.replace('-', '_')}",
            class_name="".join(part.capitalize() for part in name.split("-")),
            selection="\n\n".join(f'[{one}]\nname = "{name}"' for one in sections[kind]),
        )
        _require_free(names, registry)
        return names


def _require_well_formed(name: str) -> None:
    """Raise a ConfigError unless the name suits a component, a distribution and a module."""
    if re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) and not name.startswith("fdmo-"):
        return
    better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789").removeprefix("fdmo-")
    raise ConfigError(
        f"'{name}' is no name for a component. Expected lower case letters and digits, in words "
        f"with a dash between them and a letter first, without 'fdmo-', which the package gets in "
        f"front. Try '{better or 'mine'}'."
    )


def _require_free(names: Names, registry: "Registry") -> None:
    """Raise a ConfigError if a component, a module or a name in the template is called so."""
    taken = {one.name: one for one in registry.components()}.get(names.name)
    if taken is not None:
        raise ConfigError(
            f"The name '{names.name}' is taken by a {taken.kind.name} of {taken.distribution}. "
            f"Expected a name that is unique over all kinds. Choose another one; 'fdmo plugins' "
            f"lists those that are taken."
        )
    if find_spec(names.module) is not None:
        raise ConfigError(
            f"A module {names.module} is installed already. Expected a name whose module is new, "
            f"or the plugin would hide it. Choose another name than '{names.name}'."
        )
    if hasattr(builtins, names.class_name) or names.class_name in _imported(names):
        raise ConfigError(
            f"The class would be called {names.class_name}, as something is that it is written "
            f"with. Expected a name of its own. Say more, for instance 'my-{names.name}'."
        )


def _imported(names: Names) -> set[str]:
    """Return what the template imports from elsewhere, under the names that it uses."""
    nodes = ast.walk(ast.parse(_component(names)))
    imports = (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}


def plugin_files(names: Names, *, one_file: bool) -> dict[PurePosixPath, str]:
    """Return the texts to write, by path below the folder to write into.

    Args:
        names: To fill in.
        one_file: Whether to return the module alone, for a folder of plugins of one file.
    """
    if one_file:
        return {PurePosixPath(f"{names.name.replace('-', '_')}.py"): _component(names)}
    files = {path: _filled(f"package/{template}", names) for path, template in PACKAGE.items()}
    files[f"{names.module}/__init__.py"] = _component(names)
    files[f"{names.module}/py.typed"] = ""
    files[f"tests/test_{names.module}.py"] = _filled("package/test_component.py.txt", names)
    folder = PurePosixPath(names.distribution)
    return {folder / path: text for path, text in sorted(files.items())}


def _component(names: Names) -> str:
    return _filled(f"{names.kind}.py.txt", names)


def _filled(template: str, names: Names) -> str:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return Template(text).substitute(asdict(names))


def write_plugin(out: Path, files: Mapping[PurePosixPath, str]) -> list[Path]:
    """Write texts below a folder, all of them or none, and return their paths.

    Args:
        out: It is made.
        files: Of :func:`plugin_files`: one file, or one folder with all of them.

    Raises:
        ConfigError: Something is there already.
        RunFolderError: The folder cannot be written.
    """
    (top,) = {path.parts[0] for path in files}
    target, temporary = out / top, out / f".{top}.{os.getpid()}.tmp"
    if os.path.lexists(target):
        raise ConfigError(
            f"{target} is there already. Expected a place where nothing is, for nothing is "
            f"overwritten. Choose another name, or another folder with --out."
        )
    make_folder(out)
    try:
        for path, text in files.items():
            file = temporary.joinpath(*path.parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        (temporary / top).rename(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [out.joinpath(*path.parts) for path in files]
