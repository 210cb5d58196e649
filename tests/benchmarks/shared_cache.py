"""Ten runs at once with one cache of the frozen prefix: written once, and ten equal models.

Prints the seconds of all, how many runs wrote a cache and how many different models came out;
leaves with 1 unless each cache was written once and the models are equal.
"""

import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NUM_RUNS = 10
# Streams share a frozen prefix only where it is equal, as with weights from one file.
EQUAL_STREAMS = """
from fdmo_cli.main import main
from fdmo_core.randomness import seeded
from fdmo_plugins.small_vgg.extractor import SmallVgg

def load_equal_weights(extractor):
    with seeded(0, "equal"):
        other = SmallVgg(extractor.config)
    extractor.load_state_dict(other.state_dict())

SmallVgg.load_initial_weights = load_equal_weights
main()
"""
SETTINGS = (
    "data.largest_class=12",
    "data.imbalance_ratio=4",
    "data.val_per_class=2",
    "data.test_per_class=2",
    "data.image_size=24",
    "texture_stream.name=small-vgg",
    "shape_stream.name=small-vgg",
    "texture_stream.channels=[4,8]",
    "shape_stream.channels=[4,8]",
    "texture_stream.freeze_stages=1",
    "shape_stream.freeze_stages=1",
    "cache.views=1",
    "phase1.epochs=1",
    "phase1.shape_epochs=1",
    "rebalancer.epochs=1",
    "metrics.bootstrap_samples=100",
)


def start(folder: Path, number: int) -> subprocess.Popen[str]:
    """Start one run in a process of its own."""
    command = [sys.executable, "-c", EQUAL_STREAMS, "train", "--data", "garments", "--seed", "0"]
    command += ["--out", str(folder / f"run-{number}")]
    for setting in (*SETTINGS, f"cache.folder={folder / 'cache'}"):
        command += ["--set", setting]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder
    )


def main() -> None:
    """Run them and say what came of it."""
    with tempfile.TemporaryDirectory() as name:
        folder, begin = Path(name), time.perf_counter()
        runs = [start(folder, number) for number in range(NUM_RUNS)]
        said = [run.communicate()[0] for run in runs]
        failed = [text for run, text in zip(runs, said, strict=True) if run.returncode]
        if failed:
            sys.exit(f"{len(failed)} of {NUM_RUNS} runs failed. The first one:\n{failed[0]}")
        writers = sum("is computed once per image" in text for text in said)
        models = [folder / f"run-{number}" / "model.safetensors" for number in range(NUM_RUNS)]
        different = len({hashlib.sha256(file.read_bytes()).hexdigest() for file in models})
        left = [one.name for one in (folder / "cache").iterdir() if one.is_dir()]
        print(
            f"{NUM_RUNS} runs in {time.perf_counter() - begin:.0f} s: {writers} wrote caches, "
            f"{len(left)} caches, {different} different models"
        )
        if writers != 1 or different != 1 or any(one.endswith(".unfinished") for one in left):
            sys.exit("Expected one writer, one model and no unfinished cache.")


if __name__ == "__main__":
    main()
