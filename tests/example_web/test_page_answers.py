"""What the page answers: as onnxruntime does in Python, and where a person sees and reaches it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fdmo_core.images import read_rgb
from fdmo_core.run_folder import TrainedRun

SAME = 1e-4  # in a probability, of the same pixels
DECODED_OTHERWISE = 0.02  # of a JPEG file, which each decoder rounds in its own way

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def run_file(onnx_file: Path) -> Callable[..., dict[str, NDArray[np.float32]]]:
    """A function that returns what onnxruntime in Python answers to an image file."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(onnx_file), options, ["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]

    def run(path: Path, **dials: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        image = read_rgb(path, max_pixels=10**8)[np.newaxis]
        answers = session.run(None, {"image": image, **dials})
        return {name: answer[0] for name, answer in zip(names, answers, strict=True)}

    return run


def best_five(
    probabilities: NDArray[np.float32], trained: TrainedRun, within: float = SAME
) -> dict[str, Any]:
    order = np.argsort(-probabilities)[:5]
    return {
        trained.class_names[k]: pytest.approx(float(probabilities[k]), abs=within) for k in order
    }


def test_the_self_test_passes(page: Any) -> None:
    verdict = page.test_itself()

    assert verdict.startswith("Passed: 8 of 8 examples")
    assert float(re.search(r"probability is ([\d.]+),", verdict)[1]) < 0.02  # type: ignore[index]
    assert page.call("evaluate", "document.querySelectorAll('#examples .good').length") == 8


def test_a_picture_gets_the_answers_of_onnxruntime_in_python(
    page: Any, png: Path, run_file: Call, trained: TrainedRun
) -> None:
    page.choose("picture", png)

    assert page.classes == best_five(run_file(png)["probabilities"], trained)
    assert "garment.png, 300 x 200 pixels" in page.text("#caption")


def test_the_landmarks_that_can_be_seen_lie_where_the_file_says(
    page: Any, png: Path, run_file: Call, trained: TrainedRun
) -> None:
    answer = run_file(png)
    seen = answer["visibility"] >= 0.5

    page.choose("picture", png)

    assert 0 < seen.sum() < len(seen)
    assert page.call("getAttribute", "#points", "viewBox") == "0 0 300 200"
    assert page.landmarks == {
        name: pytest.approx(tuple(point + 0.5), abs=0.01)
        for name, point, there in zip(
            trained.landmark_names, answer["landmarks"], seen, strict=True
        )
        if there
    }


def test_a_picture_is_covered_by_its_drawing(page: Any, png: Path) -> None:
    page.choose("picture", png)

    boxes = [
        page.call("evaluate", f"document.querySelector('{one}').getBoundingClientRect().toJSON()")
        for one in ("#pixels", "#points")
    ]
    assert boxes[0] == boxes[1]
    assert boxes[0]["width"] / boxes[0]["height"] == pytest.approx(300 / 200, rel=0.01)


def test_a_turned_photo_gets_the_answers_of_its_upright_pixels(
    page: Any, picture: Image.Image, tmp_path: Path, run_file: Call, trained: TrainedRun
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    path = tmp_path / "photo.jpg"
    picture.save(path, exif=exif, quality=90)

    page.choose("picture", path)

    expected = run_file(path)["probabilities"]
    assert page.classes == best_five(expected, trained, DECODED_OTHERWISE)
    assert "200 x 300 pixels" in page.text("#caption")


def test_what_is_transparent_lets_black_through(
    page: Any, picture: Image.Image, tmp_path: Path, run_file: Call, trained: TrainedRun
) -> None:
    alpha = Image.linear_gradient("L").resize(picture.size)
    picture.putalpha(alpha)
    path = tmp_path / "layer.png"
    picture.save(path)

    page.choose("picture", path)

    expected = run_file(path)["probabilities"]
    assert page.classes == best_five(expected, trained, DECODED_OTHERWISE)


@pytest.mark.parametrize(("prior", "tau"), [("balanced", 1.0), ("natural", 1.0), ("natural", 1.6)])
def test_the_dials_do_what_the_inputs_of_the_file_do(
    page: Any, png: Path, run_file: Call, trained: TrainedRun, prior: str, tau: float
) -> None:
    counts = trained.class_counts.astype(np.float32)
    wanted = np.ones_like(counts) if prior == "balanced" else counts
    dials = {"target_prior": wanted / wanted.sum(), "tau": np.array(tau, dtype=np.float32)}
    page.choose("picture", png)

    page.call("check", f"input[value={prior}]")
    page.call("fill", "#tau", str(tau))

    assert page.text("#tau-value") == f"{tau:.2f}"
    assert page.classes == best_five(run_file(png, **dials)["probabilities"], trained)


def test_a_file_can_be_dropped(page: Any, png: Path, tmp_path: Path) -> None:
    Image.new("RGB", (90, 40)).save(tmp_path / "black.png")
    page.choose("picture", png)
    before = page.classes
    page.call("evaluate", "window.kept = document.querySelector('#picture-file').files[0]; 0")
    page.choose("picture", tmp_path / "black.png")
    assert page.classes != before

    page.call(
        "evaluate",
        """(() => {
        const dropped = new DataTransfer();
        dropped.items.add(window.kept);
        window.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, cancelable: true }));
        })()""",
    )
    page.wait()

    assert page.classes == before


def test_the_keyboard_reaches_everything(page: Any) -> None:
    page.call("focus", "#picture-file")
    reached = []
    for _ in range(4):
        reached.append(
            page.call("evaluate", "document.activeElement.id || document.activeElement.name")
        )
        page.call("press", "Tab")

    assert reached == ["picture-file", "prior", "model-file", "self-test"]

    page.call("focus", "#self-test")
    page.call("press", "Enter")
    page.wait()
    assert page.text("#verdict").startswith("Passed")


def test_the_page_fits_on_a_phone(page: Any, png: Path) -> None:
    page.choose("picture", png)
    page.test_itself()

    page.call("setViewportSize", {"width": 360, "height": 640})

    assert page.call("evaluate", "document.documentElement.scrollWidth") == 360
    page.call("setViewportSize", {"width": 1280, "height": 720})
