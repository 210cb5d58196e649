"""plugins-help, plugins-list: what 20 plugins that import nothing heavy cost the commands.

CPU seconds of a process of its own, with 20 distributions of one loss each beside fdmo against
none. ``fdmo plugins`` is counted without the seconds of ``import torch``, which it waits for
anyway. The ratio is of none to 20: 0.67 is where 20 plugins cost half as much again.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from measure import Benchmark

NUM_PLUGINS, ROUNDS = 20, 5
LOSS = (Path(__file__).parents[1] / "one_loss.txt").read_text()


def install(site: Path) -> None:
    """Write the distributions as an installer does."""
    for number in range(NUM_PLUGINS):
        metadata = site / f"fdmo_mine_{number}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: fdmo-mine-{number}\nVersion: 1.0\n"
        )
        (metadata / "entry_points.txt").write_text(f"[fdmo]\nmine = fdmo_mine_{number}\n")
        (site / f"fdmo_mine_{number}.py").write_text(LOSS.format(name=f"mine-{number}"))


def cpu_seconds(site: str, *arguments: str) -> float:
    """Return the CPU seconds that Python takes for the arguments beside the distributions."""
    paths = [site, os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    before = _children()
    command = [sys.executable, *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def benchmarks() -> list[Benchmark]:
    """Return the two lines."""
    commands = {
        "help": ("-m", "fdmo_cli", "--help"),
        "list": ("-m", "fdmo_cli", "plugins", "--json"),
        "torch": ("-c", "import torch"),
    }
    with tempfile.TemporaryDirectory() as full, tempfile.TemporaryDirectory() as none:
        install(Path(full))
        runs = [
            {(name, site): cpu_seconds(site, *commands[name]) for name in commands for site in both}
            for both in [(full, none)] * (ROUNDS + 1)
        ][1:]  # the first round compiles
        spent = {key: median(one[key] for one in runs) for key in runs[0]}
    torch = spent["torch", none]
    return [
        Benchmark("plugins-help", spent["help", full], spent["help", none], "CPU seconds"),
        Benchmark(
            "plugins-list",
            spent["list", full] - torch,
            spent["list", none] - torch,
            "CPU seconds beyond import torch",
        ),
    ]
