from pathlib import Path

from PIL import Image

from fdmo_plugins.datasets.scan import TASK_SIZE, scan_images


def test_every_image_is_read_whatever_the_number_of_tasks(tmp_path: Path) -> None:
    paths = [f"{number}.png" for number in range(TASK_SIZE + 1)]
    for path in paths:
        Image.new("L", (2, 2)).save(tmp_path / path)

    scanned = scan_images(tmp_path, paths, max_pixels=4)

    assert list(scanned) == paths
    assert all(image.problem is None for image in scanned.values())


def test_problems_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    Image.new("L", (3, 2)).save(tmp_path / "large.png")
    (tmp_path / "link.png").symlink_to("nowhere")
    paths = ["empty.png", "text.png", "large.png", "link.png"]

    problems = [str(image.problem) for image in scan_images(tmp_path, paths, max_pixels=5).values()]

    assert problems[0].startswith("The image is empty (0 bytes).")
    assert problems[1].startswith("The image is no image of a known kind.")
    assert problems[2].startswith("The image has 3 x 2 pixels. Expected at most 5 (max_pixels).")
    assert problems[3] == "The image is a broken link or no regular file."


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    for name, colour in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        Image.new("L", (2, 2), colour).save(tmp_path / name)

    first, same, other = scan_images(tmp_path, ["a.png", "b.png", "c.png"], max_pixels=4).values()

    assert first.digest == same.digest != other.digest
