"""Rules of docs/security.md that hold for the whole source tree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("fdmo_core", "fdmo_plugins", "cli", "export")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))

FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
# What a split is is checked with pickle, which is how a data loader's own workers get it; nothing
# is read from a file. The error of a refused file is named by its type.
PICKLE_ALLOWED = {
    "fdmo_core/testing/datasets.py",
    "fdmo_core/testing/workers.py",
    "fdmo_core/pretrained/weight_files.py",
}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__"),
    *("os.system", "os.popen", "os.execv", "os.spawnv"),
    *("torch.hub.load", "shutil.unpack_archive", "np.fromregex"),
    *("dist.all_gather_object", "dist.broadcast_object_list", "dist.gather_object"),
}


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keywords(call: ast.Call) -> dict[str | None, str]:
    return {one.arg: ast.unparse(one.value) for one in call.keywords}


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def require_safe(file: Path, *, allowed: frozenset[str] = frozenset()) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert imported & (FORBIDDEN_MODULES - allowed) == set()

    for name, call in calls(file):
        assert name not in FORBIDDEN_CALLS, f"line {call.lineno}: {name}"
        given = keywords(call)
        assert given.get("shell", "False") == "False", f"line {call.lineno}: {name}"
        assert given.get("allow_pickle", "False") == "False", f"line {call.lineno}: {name}"
        if name == "torch.load":
            assert given.get("weights_only") == "True", f"line {call.lineno}: {name}"
        if name in ("np.load", "numpy.load"):
            assert given.get("allow_pickle") == "False", f"line {call.lineno}: {name}"
        assert not name.endswith(".extractall"), f"line {call.lineno}: {name}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_nothing_is_unpickled_evaluated_or_given_to_a_shell(file: Path) -> None:
    may_pickle = name_of(file) in PICKLE_ALLOWED

    require_safe(file, allowed=frozenset({"pickle"} if may_pickle else ()))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from yaml import load",
        "eval('1')",
        "subprocess.run('ls', shell=True)",
        "torch.load(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "archive.extractall(folder)",
        "dist.all_gather_object(items, item)",
    ],
)
def test_the_rule_sees_what_it_forbids(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.py").write_text(line)

    with pytest.raises(AssertionError):
        require_safe(tmp_path / "bad.py")


LINES = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/security.md").read_text("utf-8"))


@pytest.mark.parametrize(("file", "test"), LINES, ids=[test for _, test in LINES])
def test_each_line_of_the_page_has_its_test(file: str, test: str) -> None:
    assert f"\ndef {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_no_line_of_the_page_is_without_a_test() -> None:
    table = (ROOT / "docs/security.md").read_text("utf-8").partition("| what comes from")[2]

    rows = [line for line in table.splitlines()[2:] if line.startswith("|")]
    assert len(rows) == len(LINES) >= 17
