"""What is special about the Node application: its pixels, its packages, inputs with defaults."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fdmo_core.images import read_rgb

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "node"
DECODE = """
import { writeFileSync } from 'node:fs';
import { readPicture } from './pictures.mjs';
for (const path of process.argv.slice(1)) {
  const { width, height, data } = await readPicture(path);
  writeFileSync(`${path}.raw`, data);
  console.log(height, width);
}
"""
GIVE_A_BOX = """
import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { withoutDefaults } from './onnx_file.mjs';
const file = readFileSync(process.argv[1]);
const pixels = Uint8Array.from({ length: 1200 }, (_, i) => i % 251);
const image = new Tensor('uint8', pixels, [1, 20, 20, 3]);
const box = new Tensor('float32', [0, 0, 9, 9], [1, 4]);
const whole = new Tensor('float32', [0, 0, 20, 20], [1, 4]);
for (const bytes of [file, withoutDefaults(file, ['box'])]) {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const answers = [];
  for (const one of [box, whole]) {
    answers.push((await session.run({ image, box: one })).logits.data.join());
  }
  console.log(session.inputNames.join(), answers[0] === answers[1]);
}
"""

Process = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def photograph() -> NDArray[np.uint8]:
    datasets = pytest.importorskip("sklearn.datasets")
    found: NDArray[np.uint8] = datasets.load_sample_image("flower.jpg")[100:301, 200:501]
    return found


def decoded(run_node: Process, *paths: Path) -> list[NDArray[np.uint8]]:
    done = run_node("--input-type=module", "-e", DECODE, "--", *paths)
    assert done.returncode == 0, done.stderr
    shapes = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    return [
        np.fromfile(f"{path}.raw", np.uint8).reshape(*shape, 3)
        for path, shape in zip(paths, shapes, strict=True)
    ]


def test_pixels_are_those_of_training(
    run_node: Process, photograph: NDArray[np.uint8], tmp_path: Path
) -> None:
    picture = Image.fromarray(photograph)
    for quality in (60, 80, 95):
        for subsampling in (0, 1, 2):
            picture.save(
                tmp_path / f"{quality}-{subsampling}.jpg", quality=quality, subsampling=subsampling
            )
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture.save(tmp_path / f"turned-{orientation}.jpg", exif=exif)
    picture.save(tmp_path / "progressive.jpg", progressive=True)
    picture.save(tmp_path / "profile.jpg", icc_profile=profile())
    picture.convert("L").save(tmp_path / "grey.jpg")
    for mode in ("RGB", "L", "P", "1"):
        picture.convert(mode).save(tmp_path / f"{mode}.png")
    for suffix in ("webp", "gif", "tif"):
        picture.save(tmp_path / f"picture.{suffix}")
    paths = sorted(tmp_path.iterdir())

    found = decoded(run_node, *paths)

    for path, pixels in zip(paths, found, strict=True):
        expected = read_rgb(path, max_pixels=10**6)
        assert np.array_equal(pixels, expected), path.name


def test_transparent_and_16_bit_pictures_differ_by_at_most_one_level(
    run_node: Process, photograph: NDArray[np.uint8], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    layer = np.dstack([photograph, rng.integers(0, 256, photograph.shape[:2], dtype=np.uint8)])
    Image.fromarray(layer).save(tmp_path / "transparent.png")
    wide = rng.integers(0, 65536, photograph.shape[:2], dtype=np.uint16)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    paths = sorted(tmp_path.iterdir())

    found = decoded(run_node, *paths)

    for path, pixels in zip(paths, found, strict=True):
        expected = read_rgb(path, max_pixels=10**6)
        assert abs(pixels.astype(int) - expected).max() <= 1, path.name


def test_cmyk_pictures_are_refused(
    run_node: Process, onnx_file: Path, photograph: NDArray[np.uint8], tmp_path: Path
) -> None:
    Image.fromarray(photograph).convert("CMYK").save(tmp_path / "print.jpg")

    done = run_node("classify.mjs", onnx_file, tmp_path / "print.jpg")

    assert (done.returncode, done.stdout) == (3, "")
    assert "print.jpg is a CMYK picture. Expected RGB or grey" in done.stderr


def test_the_lock_file_names_no_registry_and_a_digest_for_each_package() -> None:
    packages = json.loads((EXAMPLE / "package-lock.json").read_text())["packages"]

    packages.pop("")
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert not [name for name, package in packages.items() if "integrity" not in package]


def test_onnxruntime_ignores_inputs_with_a_default_until_the_default_is_taken_away(
    run_node: Process, onnx_file: Path
) -> None:
    done = run_node("--input-type=module", "-e", GIVE_A_BOX, "--", onnx_file)

    assert done.stdout.splitlines() == ["image true", "image,box false"], done.stderr


def test_the_readme_s_code_classifies_boxes(
    run_node: Process,
    node_folder: Path,
    onnx_file: Path,
    right_answers: Callable[..., dict[str, NDArray[np.float32]]],
    photograph: NDArray[np.uint8],
) -> None:
    readme = (EXAMPLE / "README.md").read_text()
    (code,) = re.findall(r"^```js\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE)
    shutil.copy(onnx_file, node_folder)
    Image.fromarray(photograph).save(node_folder / "picture.jpg")
    pixels = read_rgb(node_folder / "picture.jpg", max_pixels=10**6)
    expected = [
        right_answers([pixels], box=[box])["probabilities"][0]
        for box in ([0, 0, 60, 40], [10, 0, 50, 50])
    ]

    done = run_node("--input-type=module", "-e", code)

    assert done.returncode == 0, done.stderr
    rows = re.findall(r"Float32Array\(\d+\) \[(.*?)\]", done.stdout, flags=re.DOTALL)
    found = [[float(number) for number in row.split(",") if number.strip()] for row in rows]
    assert np.array(found) == pytest.approx(np.array(expected), abs=1e-5)


def profile() -> bytes:
    """Return a colour profile that takes red for blue."""
    cms = pytest.importorskip("PIL.ImageCms")
    usual: bytes = cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes()
    return usual.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
