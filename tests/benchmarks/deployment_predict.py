"""predict, classifier-overhead: a file's own rate against what fdmo makes of it.

``predict``: the command over JPEG files against the slower of its two halves, each in a process of
its own that reads the same files or runs the same file: decoding alone, in as many threads; the
bare session alone, on pixels in memory. ``classifier-overhead``: one image through
``OnnxClassifier.predict`` against the bare session with the same outputs. The network is small-vgg
with random weights, for 64 pixels.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from measure import Benchmark, seconds_in_turn
from numpy.typing import NDArray
from PIL import Image

from fdmo_core.images import read_rgb
from fdmo_export import OnnxClassifier
from fdmo_export.onnxruntime_package import import_onnxruntime
from fdmo_export.threads import available_threads

NUM_FILES, WIDTH, HEIGHT, BATCH = 2000, 320, 240, 32
SIDE, CALLS, FILE_ROUNDS = 64, 300, 3
OUTPUTS = ["probabilities", "landmarks", "visibility"]


def export_small_vgg(folder: Path) -> Path:
    """Return an exported file of the default network."""
    from fdmo_core.config import resolve_run
    from fdmo_core.data import open_data
    from fdmo_core.model_building import initial_network
    from fdmo_core.plugin_loading import load_plugins
    from fdmo_core.registry import Registry
    from fdmo_core.run_folder import load_run, save_model
    from fdmo_export.write import export_run

    registry = Registry(load_plugins())
    data = {"largest_class": 12, "imbalance_ratio": 4.0, "val_per_class": 2, "test_per_class": 1}
    run = resolve_run({"data": data | {"image_size": SIDE}}, registry)
    splits = open_data(run)
    save_model(folder, initial_network(run, splits), run, splits)
    export_run(load_run(folder, registry), splits, folder / "model.onnx")
    return folder / "model.onnx"


def write_images(folder: Path) -> None:
    """Write JPEGs with the detail of a photo."""
    rng = np.random.default_rng(0)
    for number in range(NUM_FILES):
        coarse = Image.fromarray(rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
        grained = (smooth + rng.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(grained).save(folder / f"{number:04}.jpg", quality=90)


def bare_session(model: Path) -> Callable[[NDArray[np.uint8]], object]:
    """Return a function that runs a batch of images in a session without fdmo."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = available_threads()
    session = runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(OUTPUTS, {"image": batch})


def decode_only(model: Path, folder: Path) -> None:
    """Decode all files in as many threads as the command."""
    del model
    with ThreadPoolExecutor(available_threads()) as pool:
        for _ in pool.map(partial(read_rgb, max_pixels=10**8), sorted(folder.glob("*.jpg"))):
            pass


def session_only(model: Path, folder: Path) -> None:
    """Run the bare session on as many images, the first ones over and over."""
    run = bare_session(model)
    files = sorted(folder.glob("*.jpg"))[:BATCH]
    batch = np.stack([read_rgb(one, max_pixels=10**8) for one in files])
    for start in range(0, NUM_FILES, BATCH):
        run(batch[: NUM_FILES - start])


def whole_command(model: Path, folder: Path) -> None:
    """Run ``fdmo predict``."""
    from fdmo_cli.main import main

    sys.argv = ["fdmo", "predict", str(model), str(folder), "--json", "--batch", str(BATCH)]
    main()


FORMS = {"decode": decode_only, "session": session_only, "command": whole_command}


def seconds_of(form: str, model: Path, folder: Path) -> float:
    """Return how long a fresh process takes for all files."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, __file__, form, model, folder], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - start


def predict() -> list[Benchmark]:
    """Return the command against the slower of its halves, measured in turn."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        write_images(images)
        model = export_small_vgg(Path(folder))
        rounds = [
            {form: seconds_of(form, model, images) for form in FORMS} for _ in range(FILE_ROUNDS)
        ]
    times = {form: median(one[form] for one in rounds) for form in FORMS}
    print(", ".join(f"{form} {seconds:.2f} s" for form, seconds in times.items()))
    slower = max(times["decode"], times["session"])
    return [Benchmark("predict", times["command"], slower, "seconds")]


def overhead() -> list[Benchmark]:
    """Return one image through the classifier against the bare session."""
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        model = export_small_vgg(Path(folder))
        classifier, run = OnnxClassifier(model, provider="cpu"), bare_session(model)
    times = seconds_in_turn(
        lambda: classifier.predict(image), lambda: run(image[np.newaxis]), rounds=CALLS
    )
    return [Benchmark("classifier-overhead", *times, "seconds an image")]


if __name__ == "__main__":
    FORMS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
