"""What mypy tells the author of a plugin, who has fdmo installed and no checkout of it."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import fdmo_core

pytest.importorskip("mypy")  # of the extra 'dev'

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "docs" / "plugins.md", *(ROOT / "docs" / "plugins").glob("*.md")])
SETTINGS = """
[tool.mypy]
strict = true
untyped_calls_exclude = ["torch"]
"""
# A line with a comment '# CODE' must be reported under that code, and no other line may be.
WRONG = '''"""A plugin with every mistake that its types give away."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from fdmo_core import ComponentConfig, Dataset, Extractor, FeatureGenerator, Loss, Sample, hookimpl
from fdmo_core.combination import convex_combination
from fdmo_core.testing import checks_for


class Wordy(Loss):
    """Its forward gives a text."""

    def forward(self, logits: Tensor, labels: Tensor) -> str:  # override
        """Return a word."""
        return "high"


class Lonely(Loss):
    """Its forward does not take the labels."""

    def forward(self, logits: Tensor) -> Tensor:  # override
        """Return a number."""
        return logits.mean()


class Unconfigured(Loss):
    """Its config class is a class of something else."""

    config_class: ClassVar[type[int]] = int  # assignment

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a number."""
        return logits.mean()


class Stageless(Extractor):
    """Its stages are names."""

    @property
    def stages(self) -> Sequence[str]:  # override
        """Return names."""
        return ["one"]


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    """Register what is no loss."""
    register(Stageless)  # arg-type
    register(Loss)  # type-abstract


def misuse(dataset: Dataset, generator: FeatureGenerator, weights: Tensor) -> int:
    """Call things that are not there."""
    dataset.load().training  # attr-defined
    generator.weigh(weights)  # call-arg
    Sample(image=weights, label=0)  # arg-type
    convex_combination(weights, weights, (2,))  # arg-type
    checks_for(3)  # arg-type
    return dataset.load()  # return-value
'''
REVEALING = [
    "import fdmo_core",
    "from fdmo_core.combination import convex_combination",
    "from fdmo_core.testing import checks_for",
    *(f"reveal_type(fdmo_core.{name})" for name in fdmo_core.__all__),
    "reveal_type(fdmo_core.DrawnFeatures.features)",
    "reveal_type(convex_combination)",
    'reveal_type(checks_for("loss"))',
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``pip install fdmo`` puts into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("fdmo-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def reports(
    site: Path, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> dict[str, list[str]]:
    """What mypy says of each file in a folder elsewhere, by name of the file."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "pyproject.toml").write_text(SETTINGS)
    (folder / "wrong.py").write_text(WRONG)
    (folder / "revealing.py").write_text("\n".join(REVEALING))
    for page in PAGES:
        code = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        for number, block in enumerate(code):
            name = f"{page.stem.replace('-', '_')}_{number}.py"
            (folder / name).write_text(block)
    (folder / "plugins_0.py").rename(folder / "fdmo_poly.py")  # the tutorial's test imports it
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("mypy-of-plugins")
    words = [sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", str(cache), "."]
    path = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(words, cwd=folder, env=path, capture_output=True, text=True)
    found: dict[str, list[str]] = {one.name: [] for one in folder.glob("*.py")}
    for line in done.stdout.splitlines():
        found[line.partition(":")[0]].append(line)
    assert done.returncode == 1, done.stdout + done.stderr  # for what is wrong on purpose
    return found


def test_every_example_of_the_pages_is_clean(reports: dict[str, list[str]]) -> None:
    good = {
        name: lines for name, lines in reports.items() if name not in {"wrong.py", "revealing.py"}
    }

    assert len(good) == 2 * 7 + 2
    assert not [line for lines in good.values() for line in lines]


def test_each_mistake_is_told_where_it_is(reports: dict[str, list[str]]) -> None:
    expected = {
        (number, code)
        for number, line in enumerate(WRONG.splitlines(), start=1)
        for code in re.findall(r"  # ([a-z-]+)$", line)
    }

    told = {
        (int(number), code)
        for number, code in re.findall(
            r"^wrong\.py:(\d+): error: .*\[([a-z-]+)\]$", "\n".join(reports["wrong.py"]), re.M
        )
    }

    assert told == expected


def test_no_public_name_is_of_type_any(reports: dict[str, list[str]]) -> None:
    revealed = [
        line.partition("Revealed type is ")[2].strip('"') for line in reports["revealing.py"]
    ]

    assert len(revealed) == len(fdmo_core.__all__) + 3
    assert "Any" not in revealed
    assert all("fdmo_core" in one for one in revealed[-3:])
