"""Which packages there are, what they may import, and what the built wheel holds."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED_IMPORTS = {
    "fdmo_core": {"fdmo_core"},
    "fdmo_plugins": {"fdmo_core", "fdmo_plugins"},
    "export/fdmo_export": {"fdmo_core", "fdmo_export"},
    "cli/fdmo_cli": {"fdmo_core", "fdmo_export", "fdmo_cli"},
}
PACKAGES = sorted(Path(package).name for package in ALLOWED_IMPORTS)
SOURCES = sorted(path for package in ALLOWED_IMPORTS for path in (ROOT / package).rglob("*.py"))
HEADS = sorted((ROOT / "fdmo_plugins").glob("*/__init__.py"))
VAGUE_NAMES = {"utils", "helpers", "common", "base", "misc"}
TAKEN_NAMES = sys.stdlib_module_names | {"onnx", "torch", "numpy", "pluggy", "typer", "rich", "PIL"}


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported_packages(path: Path) -> Iterator[str]:
    """Yield the top-level package of every import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path} imports relatively"
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("folder", ["cli", "export", "tests", "docs"])
def test_folders_with_common_names_are_not_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_no_folder_of_tests_is_a_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("package", sorted(ALLOWED_IMPORTS))
def test_packages_import_only_lower_layers(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        first_party = {name for name in imported_packages(path) if name.startswith("fdmo_")}

        assert first_party <= ALLOWED_IMPORTS[package], f"{label(path)} imports {first_party}"


@pytest.mark.parametrize("package", sorted(ALLOWED_IMPORTS))
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


@pytest.mark.parametrize("path", SOURCES, ids=label)
def test_modules_have_names_of_their_own(path: Path) -> None:
    assert path.stem not in TAKEN_NAMES
    assert path.stem not in VAGUE_NAMES


@pytest.mark.parametrize("path", SOURCES, ids=label)
def test_every_file_says_in_its_first_line_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    assert docstring is not None
    assert docstring.splitlines()[0].rstrip().endswith((".", "?", ":"))


@pytest.mark.parametrize("path", HEADS, ids=label)
def test_a_plugin_s_init_holds_hooks_only(path: Path) -> None:
    docstring, *statements = ast.parse(path.read_text(encoding="utf-8")).body
    hooks = [one for one in statements if not isinstance(one, ast.Import | ast.ImportFrom)]

    assert isinstance(docstring, ast.Expr)
    assert hooks
    for hook in hooks:
        assert isinstance(hook, ast.FunctionDef)
        assert hook.name.startswith("register_")
        assert [ast.unparse(one) for one in hook.decorator_list] == ["hookimpl"]


def test_every_plugin_is_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    folders = {f"fdmo_plugins.{path.parent.name}" for path in HEADS}
    assert set(project["entry-points"]["fdmo"].values()) == folders


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Paths in a wheel that was built from the tree, in order."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("fdmo-*.whl")
    return sorted(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_four_packages_and_its_metadata(wheel_names: list[str]) -> None:
    tops = sorted({name.partition("/")[0] for name in wheel_names})

    assert [top for top in tops if not top.endswith(".dist-info")] == PACKAGES
    assert len(tops) == len(PACKAGES) + 1


def test_the_wheel_holds_every_source_file_and_all_type_markers(wheel_names: list[str]) -> None:
    expected = {label(path).removeprefix("cli/").removeprefix("export/") for path in SOURCES}
    expected |= {f"{package}/py.typed" for package in PACKAGES}
    presets = ("deepfashion", "deepfashion2", "features", "zhang")
    expected |= {f"fdmo_cli/presets/{name}.toml" for name in presets}
    templates = (ROOT / "cli" / "fdmo_cli" / "plugins" / "templates").rglob("*.txt")
    expected |= {label(path).removeprefix("cli/") for path in templates}

    assert {name for name in wheel_names if ".dist-info/" not in name} == expected


def test_the_wheel_brings_the_licence(wheel_names: list[str]) -> None:
    assert [name for name in wheel_names if name.endswith(".dist-info/licenses/LICENSE")]
