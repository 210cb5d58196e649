"""loading: from a JPEG file to the network's square, against plain Pillow and torchvision code.

Both decode the file, crop it to a box, resize it to fit into 224 x 224 and put it on black, one
after the other in one thread. The plain form is what one would write first: Pillow decodes and
crops, torchvision's functions on Pillow images resize and pad.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from measure import Benchmark, seconds_in_turn
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from fdmo_core import Sample
from fdmo_core.images import read_rgb
from fdmo_core.preprocessing import fit_letterbox, prepare

IMAGE_SIZE, NUM_IMAGES, ROUNDS = 224, 60, 7
WIDTH, HEIGHT = 300, 400
BOX = (20.0, 30.0, 280.0, 390.0)


def write_images(folder: Path) -> list[Path]:
    """Write JPEGs with the detail of a photo, about 40 kB each."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:03}.jpg" for number in range(NUM_IMAGES)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (50, 38, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
        grained = smooth + rng.integers(-12, 13, smooth.shape)
        Image.fromarray(grained.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def ours(paths: list[Path]) -> list[Tensor]:
    """Return the images as fdmo prepares them."""
    return [
        prepare(Sample(read_rgb(path, max_pixels=10**8), 0, BOX), IMAGE_SIZE).image
        for path in paths
    ]


def plain(paths: list[Path]) -> list[Tensor]:
    """Return the images as plain Pillow and torchvision code prepares them."""
    return [_plain(path) for path in paths]


def _plain(path: Path) -> Tensor:
    with Image.open(path) as file:
        image = file.convert("RGB").crop(BOX)
    scale = IMAGE_SIZE / max(image.size)
    width, height = (round(side * scale) for side in image.size)
    resized = functional.resize(image, [height, width])
    left, top = (IMAGE_SIZE - width) // 2, (IMAGE_SIZE - height) // 2
    padding = [left, top, IMAGE_SIZE - width - left, IMAGE_SIZE - height - top]
    padded: Tensor = functional.pil_to_tensor(functional.pad(resized, padding))
    return padded


def require_equal_layout(paths: list[Path]) -> None:
    """Raise if the two forms put the picture elsewhere; resizing differs by a grey level or two."""
    box = fit_letterbox(WIDTH, HEIGHT, IMAGE_SIZE, box=BOX)
    one, other = ours(paths[:1])[0].int(), plain(paths[:1])[0].int()
    black = torch.ones(IMAGE_SIZE, IMAGE_SIZE, dtype=torch.bool)
    black[:, box.offset_x : box.offset_x + box.new_width] = False
    assert (one[:, black] == 0).all()
    assert (other[:, black] == 0).all()
    assert (one - other).abs().float().mean() < 1


def benchmarks() -> list[Benchmark]:
    """Return the line."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder))
        require_equal_layout(paths)
        times = seconds_in_turn(lambda: ours(paths), lambda: plain(paths), rounds=ROUNDS)
    torch.set_num_threads(threads)
    return [Benchmark("loading", times[0] / NUM_IMAGES, times[1] / NUM_IMAGES, "seconds an image")]
