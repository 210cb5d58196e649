"""The web page of docs/examples/web, served by its own server and open in headless Chromium."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from fdmo_core.config import Run
from fdmo_core.registry import Registry
from fdmo_core.run_folder import TrainedRun, load_run
from fdmo_core.samples import Splits
from fdmo_export.write import export_run

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "web"
PROGRAMS = {name: shutil.which(name) for name in ("node", "npm", "chromium")}

Call = Callable[..., Any]


class Page:
    """The page, as a person would use it.

    Args:
        call: Calls a method of a page of Playwright.
    """

    def __init__(self, call: Call) -> None:
        self.call = call

    def wait(self) -> None:
        """Wait until the page has done what it was asked for."""
        self.call("waitForSelector", "#status:empty", {"state": "attached"})

    def choose(self, kind: str, path: Path) -> None:
        """Choose a file for the input of a kind, ``picture`` or ``model``."""
        self.call("setInputFiles", f"#{kind}-file", path)
        self.wait()

    def test_itself(self) -> str:
        """Press the button of the self-test; return what it says."""
        self.call("click", "#self-test")
        self.wait()
        return self.text("#verdict")

    def text(self, selector: str) -> str:
        return str(self.call("textContent", selector))

    @property
    def error(self) -> str:
        """What is said to be wrong; empty if nothing is."""
        return self.text("#error") if self.call("isVisible", "#error") else ""

    @property
    def classes(self) -> dict[str, float]:
        """Names and probabilities of the bars, from the top."""
        script = """Array.from(document.querySelectorAll("#classes li"),
            (row) => [row.firstChild.textContent, Number(row.dataset.probability)])"""
        return dict(self.call("evaluate", script))

    @property
    def landmarks(self) -> dict[str, tuple[float, float]]:
        """Names and middles of the circles, in the drawing's own units."""
        script = """Array.from(document.querySelectorAll("#points g"), (mark) => {
            const { cx, cy } = mark.querySelector("circle");
            return [mark.querySelector("title").textContent, [cx.baseVal.value, cy.baseVal.value]];
        })"""
        return {name: (x, y) for name, (x, y) in self.call("evaluate", script)}


@contextmanager
def answering(command: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is told to end afterwards."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture(scope="session")
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
        bias.add_(
            torch.linspace(-1, 1, len(bias))
        )  # so that some landmarks can be seen, others not
    return run


@pytest.fixture(scope="session")
def onnx_file(
    trained: TrainedRun, tiny_splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("exported") / "garments.onnx"
    return export_run(trained, tiny_splits, path).path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with what its package-lock.json lists."""
    missing = [name for name, path in PROGRAMS.items() if path is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("site") / "web"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "*.onnx"))
    command = ["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def address(site: Path, onnx_file: Path) -> Iterator[str]:
    """Where the example's own server has the page."""
    command = [sys.executable, "serve.py", str(onnx_file), "--port", "0"]
    with answering(command, site) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()


@pytest.fixture
def served_plainly() -> Callable[[Path], AbstractContextManager[str]]:
    """A function that serves a folder without any header, and gives its address."""

    @contextmanager
    def serve(folder: Path) -> Iterator[str]:
        command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
        with answering(command, folder) as server:
            assert server.stdout is not None
            (port,) = re.findall(r"port (\d+)", server.stdout.readline())
            yield f"http://127.0.0.1:{port}/"

    return serve


@pytest.fixture(scope="session")
def browser(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page in Chromium, which may be sent anywhere."""
    driver = str(Path(__file__).with_name("driver.mjs"))
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

        yield Page(call)


@pytest.fixture
def page(browser: Page, address: str) -> Iterator[Page]:
    """The page with its file open; it must stay quiet and ask nobody but its own server."""
    if browser.call("url") != address:
        browser.call("goto", address)
        browser.call("waitForSelector", "#self-test:enabled")
        browser.wait()
        browser.call("complaints")
    browser.call("evaluate", "document.querySelector('[value=source]').checked = true")
    yield browser
    assert browser.call("complaints") == []
    requests = browser.call("requests")
    assert [one for one in requests if not one.startswith((address, "data:"))] == []


@pytest.fixture
def picture(tiny_splits: Splits, tmp_path: Path) -> Image.Image:
    """A garment, enlarged."""
    pixels = tiny_splits.test[0].image
    return Image.fromarray(pixels).resize((300, 200), Image.Resampling.BICUBIC)


@pytest.fixture
def png(picture: Image.Image, tmp_path: Path) -> Path:
    picture.save(tmp_path / "garment.png")
    return tmp_path / "garment.png"
