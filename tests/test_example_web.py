"""The web page of docs/examples/web, in headless Chromium, as a person would use it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from fdmo_core.config import Run
from fdmo_core.engine import initial_network
from fdmo_core.images import read_rgb
from fdmo_core.registry import Registry
from fdmo_core.run_folder import TrainedRun, load_run, save_model
from fdmo_core.samples import Splits
from fdmo_export.contract import DIGEST_KEY, METADATA_KEY
from fdmo_export.seal import sealed_bytes
from fdmo_export.write import ExportOptions, export_run

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "web"
PROGRAMS = {name: shutil.which(name) for name in ("node", "npm", "chromium")}
MISSING = [name for name, path in PROGRAMS.items() if path is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

SAME = 1e-4  # in a probability, of the same pixels
DECODED_OTHERWISE = 0.02  # of a JPEG file, which each decoder rounds in its own way

Call = Callable[..., Any]


@contextmanager
def answering(command: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is told to end afterwards."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def trained(
    tiny_run: Callable[..., Run],
    tiny_splits: Splits,
    train_into: Call,
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainedRun:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train_into(folder, tiny_run(), tiny_splits)
    run = load_run(folder, registry)
    _, bias = [one for name, one in run.model.named_parameters() if "visibility" in name][-2:]
    with torch.no_grad():
        bias += torch.linspace(-1, 1, len(bias))  # so that some landmarks can be seen, others not
    return run


@pytest.fixture(scope="module")
def onnx_file(
    trained: TrainedRun, tiny_splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("exported") / "garments.onnx"
    return export_run(trained, tiny_splits, path).path


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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with what its package-lock.json lists."""
    folder = tmp_path_factory.mktemp("site") / "web"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "*.onnx"))
    command = ["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def address(site: Path, onnx_file: Path) -> Iterator[str]:
    """Where the example's own server has the page."""
    command = [sys.executable, "serve.py", str(onnx_file), "--port", "0"]
    with answering(command, site) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()


@pytest.fixture(scope="module")
def browser(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Call]:
    """A function that calls a method of a page in Chromium."""
    driver = str(Path(__file__).with_name("web_page.mjs"))
    profile = str(tmp_path_factory.mktemp("profile"))
    with answering(["node", driver, str(site), str(PROGRAMS["chromium"]), profile], site) as node:
        assert node.stdin is not None
        assert node.stdout is not None
        assert json.loads(node.stdout.readline()) == {"result": "ready"}

        def call(*words: object) -> Any:
            assert node.stdin is not None
            assert node.stdout is not None
            print(json.dumps(words, default=str), file=node.stdin, flush=True)
            answer = json.loads(node.stdout.readline())
            assert "error" not in answer, answer["error"]
            return answer["result"]

        yield call


def wait(browser: Call) -> None:
    browser("waitForSelector", "#status:empty", {"state": "attached"})


@pytest.fixture(scope="module")
def opened(browser: Call, address: str) -> Call:
    """The page with its file open."""
    browser("goto", address)
    browser("waitForSelector", "#self-test:enabled")
    wait(browser)
    return browser


@pytest.fixture
def page(opened: Call, address: str) -> Iterator[Call]:
    """The page with its dials untouched; it must stay quiet and ask nobody but its server."""
    opened("evaluate", "document.querySelector('[value=source]').checked = true")
    yield opened
    assert opened("complaints") == []
    assert {one for one in opened("requests") if not one.startswith((address, "data:"))} == set()


def choose(page: Call, kind: str, path: Path) -> None:
    page("setInputFiles", f"#{kind}-file", path)
    wait(page)


def shown_classes(page: Call) -> dict[str, float]:
    script = """Array.from(document.querySelectorAll("#classes li"),
        (row) => [row.firstChild.textContent, Number(row.dataset.probability)])"""
    return dict(page("evaluate", script))


def shown_landmarks(page: Call) -> dict[str, tuple[float, float]]:
    script = """Array.from(document.querySelectorAll("#points g"), (mark) => {
        const circle = mark.querySelector("circle");
        return [mark.querySelector("title").textContent,
                [circle.cx.baseVal.value, circle.cy.baseVal.value]]; })"""
    return {name: (x, y) for name, (x, y) in page("evaluate", script)}


def best_five(
    probabilities: NDArray[np.float32], trained: TrainedRun, within: float = SAME
) -> dict[str, Any]:
    order = np.argsort(-probabilities)[:5]
    return {
        trained.class_names[k]: pytest.approx(float(probabilities[k]), abs=within) for k in order
    }


def resealed(source: Path, target: Path, change: Call) -> Path:
    """Write the file once more, changed but with a digest that fits."""
    model = onnx.load(source)
    entries = {one.key: one for one in model.metadata_props}
    model.metadata_props.remove(entries[DIGEST_KEY])
    entry = next(one for one in model.metadata_props if one.key == METADATA_KEY)
    metadata = json.loads(entry.value)
    change(metadata)
    entry.value = json.dumps(metadata)
    target.write_bytes(sealed_bytes(model))
    return target


@pytest.fixture
def picture(tiny_splits: Splits, tmp_path: Path) -> Image.Image:
    """A garment, enlarged."""
    pixels = tiny_splits.test[0].image
    return Image.fromarray(pixels).resize((300, 200), Image.Resampling.BICUBIC)


@pytest.fixture
def png(picture: Image.Image, tmp_path: Path) -> Path:
    picture.save(tmp_path / "garment.png")
    return tmp_path / "garment.png"


def test_the_self_test_passes(page: Call) -> None:
    page("click", "#self-test")
    wait(page)

    verdict = page("textContent", "#verdict")
    assert verdict.startswith("Passed: 8 of 8 examples")
    assert float(re.search(r"probability is ([\d.]+),", verdict)[1]) < 0.02  # type: ignore[index]
    assert page("evaluate", "document.querySelectorAll('#examples .good').length") == 8


def test_a_picture_gets_the_answers_of_onnxruntime_in_python(
    page: Call, png: Path, run_file: Call, trained: TrainedRun
) -> None:
    choose(page, "picture", png)

    assert shown_classes(page) == best_five(run_file(png)["probabilities"], trained)
    assert "garment.png, 300 × 200 pixels" in page("textContent", "#caption")


def test_the_landmarks_that_can_be_seen_lie_where_the_file_says(
    page: Call, png: Path, run_file: Call, trained: TrainedRun
) -> None:
    answer = run_file(png)
    seen = answer["visibility"] >= 0.5

    choose(page, "picture", png)

    assert 0 < seen.sum() < len(seen)
    assert page("getAttribute", "#points", "viewBox") == "0 0 300 200"
    assert shown_landmarks(page) == {
        name: pytest.approx(tuple(point + 0.5), abs=0.01)
        for name, point, there in zip(
            trained.landmark_names, answer["landmarks"], seen, strict=True
        )
        if there
    }


def test_a_picture_is_covered_by_its_drawing(page: Call, png: Path) -> None:
    choose(page, "picture", png)

    boxes = [
        page("evaluate", f"document.querySelector('{one}').getBoundingClientRect().toJSON()")
        for one in ("#pixels", "#points")
    ]
    assert boxes[0] == boxes[1]
    assert boxes[0]["width"] / boxes[0]["height"] == pytest.approx(300 / 200, rel=0.01)


def test_a_turned_photo_gets_the_answers_of_its_upright_pixels(
    page: Call, picture: Image.Image, tmp_path: Path, run_file: Call, trained: TrainedRun
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    path = tmp_path / "photo.jpg"
    picture.save(path, exif=exif, quality=90)

    choose(page, "picture", path)

    expected = run_file(path)["probabilities"]
    assert shown_classes(page) == best_five(expected, trained, DECODED_OTHERWISE)
    assert "200 × 300 pixels" in page("textContent", "#caption")


def test_what_is_transparent_lets_black_through(
    page: Call, picture: Image.Image, tmp_path: Path, run_file: Call, trained: TrainedRun
) -> None:
    alpha = Image.linear_gradient("L").resize(picture.size)
    picture.putalpha(alpha)
    path = tmp_path / "layer.png"
    picture.save(path)

    choose(page, "picture", path)

    expected = run_file(path)["probabilities"]
    assert shown_classes(page) == best_five(expected, trained, DECODED_OTHERWISE)


@pytest.mark.parametrize(("prior", "tau"), [("balanced", 1.0), ("natural", 1.0), ("natural", 1.6)])
def test_the_dials_do_what_the_inputs_of_the_file_do(
    page: Call, png: Path, run_file: Call, trained: TrainedRun, prior: str, tau: float
) -> None:
    counts = trained.class_counts.astype(np.float32)
    wanted = np.ones_like(counts) if prior == "balanced" else counts
    dials = {"target_prior": wanted / wanted.sum(), "tau": np.array(tau, dtype=np.float32)}
    choose(page, "picture", png)

    page("check", f"input[value={prior}]")
    page("fill", "#tau", str(tau))

    assert page("textContent", "#tau-value") == f"{tau:.2f}"
    assert shown_classes(page) == best_five(run_file(png, **dials)["probabilities"], trained)


def test_a_file_can_be_dropped(page: Call, png: Path) -> None:
    page("setInputFiles", "#picture-file", png)  # to have a File at hand
    wait(page)
    before = shown_classes(page)
    page("setInputFiles", "#model-file", [])

    page(
        "evaluate",
        """() => {
        const dropped = new DataTransfer();
        dropped.items.add(document.querySelector("#picture-file").files[0]);
        window.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, cancelable: true }));
        }""",
    )
    wait(page)

    assert shown_classes(page) == before


def test_the_keyboard_reaches_everything(page: Call) -> None:
    page("focus", "#picture-file")
    reached = []
    for _ in range(4):
        reached.append(page("evaluate", "document.activeElement.id || document.activeElement.name"))
        page("press", "Tab")

    assert reached == ["picture-file", "prior", "model-file", "self-test"]

    page("focus", "#self-test")
    page("press", "Enter")
    wait(page)
    assert page("textContent", "#verdict").startswith("Passed")


def test_the_page_fits_on_a_phone(page: Call, png: Path) -> None:
    choose(page, "picture", png)
    page("click", "#self-test")
    wait(page)

    page("setViewportSize", {"width": 360, "height": 640})

    assert page("evaluate", "document.documentElement.scrollWidth") == 360
    page("setViewportSize", {"width": 1280, "height": 720})


def error_of(page: Call) -> str:
    assert page("isVisible", "#error")
    return str(page("textContent", "#error"))


def test_a_changed_file_is_refused_and_the_open_one_stays(
    page: Call, onnx_file: Path, tmp_path: Path
) -> None:
    content = bytearray(onnx_file.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.onnx").write_bytes(content)

    choose(page, "model", tmp_path / "changed.onnx")

    assert "changed.onnx was changed or damaged after its export" in error_of(page)
    assert page("textContent", "#facts dd").startswith("model.onnx, ")


def test_other_files_are_refused(page: Call, onnx_file: Path, tmp_path: Path) -> None:
    model = onnx.load(onnx_file)
    del model.metadata_props[:]
    wrong = {
        "foreign": (model.SerializeToString(), "is an ONNX file, but fdmo did not write it"),
        "short": (onnx_file.read_bytes()[:-1000], "is no whole ONNX file: a field at byte"),
        "text": (b"Not a model.", "is no whole ONNX file"),
        "empty": (b"", "is no whole ONNX file: it holds no graph"),
    }
    for name, (content, message) in wrong.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)

        choose(page, "model", tmp_path / f"{name}.onnx")

        assert f"{name}.onnx {message}" in error_of(page)


def test_a_file_that_takes_no_whole_images_says_what_it_takes(
    page: Call, trained: TrainedRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    options = ExportOptions(preprocessing=False)
    export_run(trained, tiny_splits, tmp_path / "squares.onnx", options)

    choose(page, "model", tmp_path / "squares.onnx")

    assert "squares.onnx takes images that were made square and small before" in error_of(page)


def test_a_file_for_features_says_what_it_takes(
    page: Call,
    tiny_run: Callable[..., Run],
    feature_splits: Splits,
    registry: Registry,
    tmp_path: Path,
) -> None:
    save_model(tmp_path, initial_network(tiny_run(), feature_splits), tiny_run(), feature_splits)
    export_run(load_run(tmp_path, registry), feature_splits, tmp_path / "features.onnx")

    choose(page, "model", tmp_path / "features.onnx")

    assert "features.onnx takes features, 8 numbers for each picture" in error_of(page)


def test_what_is_no_picture_is_refused_and_the_answer_stays(
    page: Call, png: Path, tmp_path: Path
) -> None:
    choose(page, "picture", png)
    before = shown_classes(page)
    (tmp_path / "notes.png").write_text("Not a picture.")
    Image.new("1", (7100, 7100)).save(tmp_path / "large.png")

    choose(page, "picture", tmp_path / "notes.png")
    assert "notes.png is no picture that this browser can read" in error_of(page)

    choose(page, "picture", tmp_path / "large.png")
    assert "large.png has 7100 x 7100 pixels. Expected at most 50 million" in error_of(page)

    assert shown_classes(page) == before
    choose(page, "picture", png)
    assert not page("isVisible", "#error")


def test_the_server_sends_the_policy_that_the_page_states() -> None:
    page, server = ((EXAMPLE / name).read_text() for name in ("index.html", "serve.py"))
    (stated,) = re.findall(r'content="(default-src[^"]+)"', page)
    (sent,) = re.findall(r'Content-Security-Policy": ((?:\s*"[^"]*")+)', server)

    assert "".join(re.findall(r'"([^"]*)"', sent)) == stated


def test_a_plain_server_without_a_file_beside_the_page_is_enough(
    browser: Call, site: Path, onnx_file: Path
) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with answering(command, site) as server:
        assert server.stdout is not None
        (port,) = re.findall(r"port (\d+)", server.stdout.readline())
        browser("goto", f"http://127.0.0.1:{port}/")
        browser("waitForSelector", "#no-file >> text=There is no model.onnx beside this page")
        choose(browser, "model", onnx_file)

        facts = browser("textContent", "#facts")

    assert "Threads1" in facts
    assert [one for one in browser("complaints") if "404" not in one] == []


def test_the_server_says_what_is_missing(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "serve.py", tmp_path)
    command = [sys.executable, "serve.py"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert "Run 'npm ci --omit=dev --ignore-scripts'" in done.stderr


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((EXAMPLE / "package-lock.json").read_text())

    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
