"""What ``fdmo plugins new`` writes: names, files from templates, and a folder that appears whole.

The templates are texts with ``$name`` and a few more places to fill in; see :class:`Names`.
"""

import ast
import builtins
import keyword
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
    def of(cls, name: str, kind: str, registry: "Registry", *, one_file: bool = False) -> "Names":
        """Return the names of a new component.

        Args:
            name: Of the component.
            kind: Of the component.
            registry: Whose names are taken.
            one_file: Whether the module stands alone, named by the component without 'fdmo'.

        Raises:
            ConfigError: The kind is unknown, or the name is none or taken.
        """
        sections = _sections_of(kind)
        _require_well_formed(name)
        words = name.split("-")
        names = cls(
            name=name,
            kind=kind,
            distribution=f"fdmo-{name}",
            module="_".join(words if one_file else ["fdmo", *words]),
            class_name="".join(map(str.capitalize, words)),
            selection="\n\n".join(f'[{one}]\nname = "{name}"' for one in sections),
        )
        _require_free(names, registry)
        return names


def _sections_of(kind: str) -> tuple[str, ...]:
    """Return where a run's configuration chooses a component of the kind."""
    from fdmo_core.kinds import KINDS

    sections = {one.name: one.sections for one in KINDS}
    if kind not in sections:
        close = get_close_matches(kind, sections, n=1)
        hint = f"Did you mean '{close[0]}'?" if close else "Use one of them."
        raise ConfigError(f"Unknown kind '{kind}'. Expected one of: {', '.join(sections)}. {hint}")
    return sections[kind]


def _require_well_formed(name: str) -> None:
    """Raise a ConfigError unless the name suits a component, a distribution and a module."""
    if re.fullmatch(r"(?!fdmo-)[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        return
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).rstrip("-")
    better = re.sub(r"^(fdmo-|[0-9-])+", "", words)
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
            f"The name '{names.name}' is taken, by the {taken.kind.name} of {taken.distribution}. "
            f"Expected a name that is unique over all kinds. Choose another one; 'fdmo plugins' "
            f"lists those that are taken."
        )
    if keyword.iskeyword(names.module):
        raise ConfigError(
            f"'{names.module}' is a word of Python's own. Expected a name that can be imported. "
            f"Say more, for instance 'my-{names.name}'."
        )
    if find_spec(names.module) is not None:
        raise ConfigError(
            f"There is a module {names.module} already. Expected a name whose module is new, for "
            f"one would hide the other. Choose another name than '{names.name}'."
        )
    if hasattr(builtins, names.class_name) or _imports_its_own_class(_component(names)):
        raise ConfigError(
            f"The class would be called {names.class_name}, as something else is called that it "
            f"is written with. Expected a name of its own. Say more, for instance "
            f"'my-{names.name}'."
        )


def _imports_its_own_class(source: str) -> bool:
    """Return whether a module imports something under the name of a class that it defines."""
    nodes = list(ast.walk(ast.parse(source)))
    imports = (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    return any(node.name in imported for node in nodes if isinstance(node, ast.ClassDef))


def plugin_files(names: Names, *, one_file: bool) -> dict[PurePosixPath, str]:
    """Return the texts to write, by path below the folder to write into.

    Args:
        names: To fill in.
        one_file: Whether to return the module alone, for a folder of plugins of one file.
    """
    if one_file:
        return {PurePosixPath(f"{names.module}.py"): _component(names)}
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
