"""How the page is served: with its own server or a plain one, with all that it needs or without."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "web"

Serve = Callable[[Path], AbstractContextManager[str]]


def test_the_server_sends_the_policy_that_the_page_states() -> None:
    page, server = ((EXAMPLE / name).read_text() for name in ("index.html", "serve.py"))
    (stated,) = re.findall(r'content="(default-src[^"]+)"', page)
    (sent,) = re.findall(r'Content-Security-Policy": ((?:\s*"[^"]*")+)', server)

    assert "".join(re.findall(r'"([^"]*)"', sent)) == stated


def test_a_page_without_onnxruntime_says_so(
    browser: Any, served_plainly: Serve, onnx_file: Path, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "web", ignore=shutil.ignore_patterns("node_modules"))
    with served_plainly(tmp_path / "web") as address:
        browser.call("goto", address)
        browser.wait()
        browser.choose("model", onnx_file)

        assert "onnxruntime-web cannot be loaded" in browser.error

    assert all("404" in one for one in browser.call("complaints"))


def test_a_plain_server_without_a_file_beside_the_page_is_enough(
    browser: Any, served_plainly: Serve, site: Path, onnx_file: Path
) -> None:
    with served_plainly(site) as address:
        browser.call("goto", address)
        browser.call("waitForSelector", "#no-file >> text=There is no model.onnx beside this page")
        browser.choose("model", onnx_file)

        facts = browser.text("#facts")

    assert "Threads1" in facts
    assert all("404" in one for one in browser.call("complaints"))


def test_the_server_says_what_is_missing(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "serve.py", tmp_path)
    command = [sys.executable, "serve.py"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert "Run 'npm ci --omit=dev --ignore-scripts'" in done.stderr


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((EXAMPLE / "package-lock.json").read_text())

    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
