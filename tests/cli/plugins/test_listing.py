"""``fdmo plugins``: a table for people and JSON for machines."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

Command = Callable[..., subprocess.CompletedProcess[str]]

SHOP = '''
from typing import Literal
from fdmo_core import ComponentConfig, Loss, hookimpl

class Config(ComponentConfig):
    name: Literal["shop"] = "shop"

class ShopLoss(Loss):
    """Half of the [red]logits[/green], shape [B, C]."""
    config_class = Config

    def forward(self, logits, labels):
        return logits.sum() / 2

@hookimpl
def register_losses(register):
    register(ShopLoss)
'''


def test_json_lists_every_component_with_its_origin(fdmo: Command) -> None:
    result = fdmo("plugins", "--json")

    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["ldam"] == {
        "name": "ldam",
        "kind": "loss",
        "distribution": "fdmo",
        "version": version("fdmo"),
        "summary": "Cross-entropy after the true class has lost its margin, in float32.",
    }
    assert {"garments", "small-vgg", "ldm", "memory", "convexgan", "adversarial"} <= rows.keys()
    assert result.stderr == ""


def test_the_table_has_a_line_a_component(fdmo: Command) -> None:
    rows = json.loads(fdmo("plugins", "--json").stdout)

    heading, *lines = fdmo("plugins").stdout.splitlines()

    assert heading.split() == ["name", "kind", "distribution", "version", "summary"]
    assert [line.split(maxsplit=4) for line in lines] == [
        [*list(row.values())[:4], row["summary"] + " " * (len(line) - len(line.rstrip()))]
        for row, line in zip(rows, lines, strict=True)
    ]


def test_a_stranger_s_plugin_is_listed_as_it_words_itself_beside_one_that_fails(
    tmp_path: Path,
) -> None:
    for name, source in {"shop": SHOP, "broken": "raise RuntimeError('no licence')"}.items():
        info = tmp_path / f"fdmo_{name}-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fdmo-{name}\nVersion: 2.5\n")
        (info / "entry_points.txt").write_text(f"[fdmo]\n{name} = fdmo_{name}\n")
        (tmp_path / f"fdmo_{name}.py").write_text(source)
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"}
    command = [str(Path(sys.executable).with_name("fdmo")), "plugins"]

    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    line = next(line for line in result.stdout.splitlines() if "shop" in line)
    assert line.split(maxsplit=4)[:4] == ["shop", "loss", "fdmo-shop", "2.5"]
    assert "Half of the [red]logits[/green], shape [B, C]." in line
    assert result.returncode == 0
    assert result.stderr == (
        f"Warning: Plugin 'broken' of fdmo-broken 2.5 is left out ({tmp_path / 'fdmo_broken.py'}, "
        "line 1): RuntimeError: no licence\n"
    )
