import contextlib
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fdmo_core import DataError
from fdmo_core.images import read_rgb

LIMIT = 1_000_000
COLOURS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def written(image: Image.Image, kind: str, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def read(image: Image.Image, kind: str = "PNG", **options: Any) -> NDArray[np.uint8]:
    return read_rgb(written(image, kind, **options), max_pixels=LIMIT)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_kinds_keep_every_pixel(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image.of.any.name"
    Image.fromarray(COLOURS).save(path, kind)

    pixels = read_rgb(path, max_pixels=LIMIT)

    np.testing.assert_array_equal(pixels, COLOURS)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_kinds_keep_size_and_colour(kind: str) -> None:
    pixels = read(Image.new("RGB", (30, 20), (200, 40, 90)), kind)

    assert pixels.shape == (20, 30, 3)
    np.testing.assert_allclose(pixels.mean(axis=(0, 1)), (200, 40, 90), atol=4)  # lossy


# What a viewer does with each EXIF orientation, from the definition of the tag.
UPRIGHT = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_stand_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation

    pixels = read(Image.fromarray(COLOURS), exif=exif)

    np.testing.assert_array_equal(pixels, UPRIGHT[orientation](COLOURS))


def test_grey_is_repeated_in_every_channel() -> None:
    pixels = read(Image.fromarray(COLOURS[:, :, 0]))

    np.testing.assert_array_equal(pixels, np.repeat(COLOURS[:, :, :1], 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    wide = np.array([[0, 128, 129, 32768, 65535]], np.uint16)

    pixels = read(Image.fromarray(wide), kind)

    assert pixels[0, :, 0].tolist() == [round(value * 255 / 65535) for value in wide[0].tolist()]


def test_sixteen_bits_stand_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = COLOURS[:, :, 0].astype(np.uint16) * 257

    pixels = read(Image.fromarray(wide), exif=exif)

    np.testing.assert_array_equal(pixels[:, :, 0], np.rot90(COLOURS[:, :, 0], -1))


def test_transparency_lets_black_through() -> None:
    layer = np.array([[[200, 100, 50, 255], [200, 100, 50, 51], [200, 100, 50, 0]]], np.uint8)

    pixels = read(Image.fromarray(layer))

    assert pixels.tolist() == [[[200, 100, 50], [40, 20, 10], [0, 0, 0]]]


def test_a_transparent_palette_entry_lets_black_through() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([250, 250, 250, 10, 20, 30])
    image.putpixel((1, 0), 1)

    assert read(image, transparency=0).tolist() == [[[0, 0, 0], [10, 20, 30]]]


@pytest.mark.parametrize("mode", ["CMYK", "1", "LA"])
def test_other_modes_show_white_as_white(mode: str) -> None:
    white = Image.new("RGB", (8, 8), "white").convert(mode)

    pixels = read(white, "TIFF")

    np.testing.assert_array_equal(pixels, np.full((8, 8, 3), 255))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_of_an_animation_counts(kind: str) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]

    pixels = read(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)

    assert pixels[4, 4].tolist() == [255, 0, 0]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()

    with pytest.raises(DataError) as caught:
        read_rgb(path, max_pixels=LIMIT)

    assert str(caught.value) == (
        f"Image '{path}' is empty (0 bytes). Expected an image file. Replace or delete the file."
    )


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be opened \(No such file or directory\)\. Expec"):
        read_rgb(tmp_path / "missing.jpg", max_pixels=LIMIT)


@pytest.mark.parametrize(
    "file", [io.BytesIO(b"just text"), written(Image.new("RGB", (8, 8)), "EPS")]
)
def test_a_file_of_another_kind_is_refused(file: io.BytesIO) -> None:
    with pytest.raises(DataError, match=r"^The image is no image of a known kind\. Expected one "):
        read_rgb(file, max_pixels=LIMIT)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_truncated_file_is_refused(kind: str) -> None:
    whole = written(Image.effect_noise((64, 64), 90), kind).getvalue()

    with pytest.raises(DataError, match=r"decodes to its end|no image of a known kind"):
        read_rgb(io.BytesIO(whole[: len(whole) // 2]), max_pixels=LIMIT)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    bomb = written(Image.new("1", (2000, 501)), "PNG")

    with pytest.raises(DataError) as caught:
        read_rgb(bomb, max_pixels=LIMIT)

    assert str(caught.value) == (
        "The image has 2000 x 501 pixels. Expected at most 1000000 (max_pixels). "
        "Scale the image down or raise the limit."
    )


def test_pixels_of_unknown_scale_are_refused() -> None:
    with pytest.raises(DataError, match=r"floating-point pixels\. Expected 8 or 16 bits"):
        read(Image.new("F", (4, 4), 0.5), "TIFF")
    with pytest.raises(DataError, match=r"grey values from -7 to -7\. Expected 0 to 65535"):
        read(Image.new("I", (4, 4), -7), "TIFF")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(kind: str) -> None:
    rng = random.Random(0)
    whole = written(Image.fromarray(COLOURS).resize((40, 30)), kind).getvalue()

    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        with contextlib.suppress(DataError):
            assert read_rgb(io.BytesIO(damaged), max_pixels=LIMIT).ndim == 3


def test_a_name_with_a_null_byte_is_a_bad_image() -> None:
    with pytest.raises(DataError, match=r"cannot be opened \(embedded null byte\)"):
        read_rgb(Path("a\0b"), max_pixels=LIMIT)


def test_an_image_that_pillow_finds_too_large_is_told_its_size_is_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = written(Image.fromarray(COLOURS), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)

    with pytest.raises(DataError, match=r"^The image has too many pixels \("):
        read_rgb(file, max_pixels=LIMIT)
