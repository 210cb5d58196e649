"""``fdmo plugins new``: what it writes installs, passes its tests and types, trains and exports."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fdmo_core.kinds import KINDS
from fdmo_core.testing import checks_for

Command = Callable[..., subprocess.CompletedProcess[str]]

BIN = Path(sys.executable).parent
NAMES = {
    "dataset": "shapes",
    "extractor": "three-convs",
    "landmark-head": "plain-head",
    "dictionary": "in-order",
    "generator": "loose-mix",
    "loss": "soft-labels",
    "rebalancer": "even-classes",
}
FILES = (
    *(".github/workflows/ci.yml", ".gitignore", "README.md"),
    *("fdmo_soft_labels/__init__.py", "fdmo_soft_labels/py.typed"),
    *("pyproject.toml", "tests/test_fdmo_soft_labels.py"),
)
SHORT = (
    *("data.image_size=24", "phase1.shape_epochs=1", "phase1.epochs=1", "phase1.batch_size=16"),
    *("model.feature_ratio=8", "metrics.bootstrap_samples=100", "rebalancer.epochs=1"),
)
GARMENTS = (
    *("data.largest_class=12", "data.imbalance_ratio=4"),
    *("data.val_per_class=2", "data.test_per_class=2", "rebalancer.samples_per_class=4"),
)
PLAYERS = ("generator.hidden=[16, 16]", "generator.discriminator_hidden=[16, 16]")
CHANNELS = ("texture_stream.channels=[4, 8]", "shape_stream.channels=[4, 8]")


@pytest.fixture(scope="module")
def packages(fdmo: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new package of each kind."""
    folder = tmp_path_factory.mktemp("packages")
    for kind, name in NAMES.items():
        result = fdmo("plugins", "new", name, "--kind", kind, "--out", folder)
        assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def environment(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Variables under which all of them are installed."""
    site = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    run([sys.executable, "-m", "pip", "install", *options, *map(str, packages.iterdir())])
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def modules(fdmo: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new plugin of one file for each kind."""
    folder = tmp_path_factory.mktemp("modules")
    for kind, name in NAMES.items():
        result = fdmo("plugins", "new", name, "--kind", kind, "--out", folder, "--one-file")
        assert result.returncode == 0, result.stderr
    return folder


def run(words: list[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Return what a command prints, which must succeed."""
    result = subprocess.run(words, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def picked(*kinds: str) -> list[str]:
    """Return the options that choose the new components of these kinds."""
    return [word for kind in kinds for word in ("--plugin", NAMES[kind])]


def changed(*settings: str) -> list[str]:
    """Return the options that change these settings."""
    return [word for setting in settings for word in ("--set", setting)]


def test_it_says_what_it_wrote_and_what_to_do_next(fdmo: Command, tmp_path: Path) -> None:
    result = fdmo(
        "plugins", "new", "soft-labels", "--kind", "loss", "--out", "my plugins", cwd=tmp_path
    )

    *written, heading, install, test, check, use = result.stdout.splitlines()
    folder = Path("my plugins/fdmo-soft-labels")
    assert written == [f"Wrote {folder / name}" for name in FILES]
    assert all((tmp_path / folder / name).is_file() for name in FILES)
    assert heading == "Next:"
    assert install == "  pip install -e 'my plugins/fdmo-soft-labels[test]'"
    assert test == "  pytest 'my plugins/fdmo-soft-labels'"
    assert check == "  fdmo plugins check soft-labels"
    assert use == "  fdmo train --plugin soft-labels"
    assert result.stderr == ""


def test_without_a_folder_it_writes_where_it_is_called(fdmo: Command, tmp_path: Path) -> None:
    fdmo("plugins", "new", "soft-labels", "--kind", "loss", cwd=tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["fdmo-soft-labels"]


def test_there_is_a_template_for_every_kind_and_the_help_names_it(fdmo: Command) -> None:
    text = " ".join(fdmo("plugins", "new", "--help").stdout.split())

    assert NAMES.keys() == {kind.name for kind in KINDS}
    listed = re.search(r"--kind <str> (.*?)\.", text)
    assert listed is not None
    assert set(re.split(", | or ", listed[1])) == NAMES.keys()


def test_the_tests_that_it_writes_pass(environment: Mapping[str, str], packages: Path) -> None:
    config = packages / "fdmo-soft-labels" / "pyproject.toml"
    tests = [str(folder / "tests") for folder in packages.iterdir()]
    options = ["-q", "-p", "no:cacheprovider", "-c", str(config), "--rootdir", str(packages)]

    report = run([str(BIN / "pytest"), *options, *tests], env=environment, cwd=packages)

    counts = re.findall(r"(\d+) (?:passed|skipped)", report)
    assert sum(map(int, counts)) == sum(len(checks_for(kind)) for kind in NAMES)


def test_what_is_installed_is_listed_at_once(environment: Mapping[str, str]) -> None:
    rows = json.loads(run([str(BIN / "fdmo"), "plugins", "--json"], env=environment))

    found = {row["name"]: row for row in rows if row["distribution"] != "fdmo"}
    assert {row["kind"]: name for name, row in found.items()} == NAMES
    for name, row in found.items():
        assert (row["distribution"], row["version"]) == (f"fdmo-{name}", "0.1.0")
        assert row["summary"].endswith(".")


def test_its_types_are_strict(
    environment: Mapping[str, str], packages: Path, pytestconfig: pytest.Config
) -> None:
    pytest.importorskip("mypy")
    cache = pytestconfig.cache
    assert cache is not None
    files = [str(path) for path in packages.glob("*/*/*.py")]
    options = ["--strict", "--config-file=", "--cache-dir", str(cache.mkdir("mypy"))]

    report = run([sys.executable, "-m", "mypy", *options, *files], env=environment, cwd=packages)

    assert report == f"Success: no issues found in {2 * len(NAMES)} source files\n"


def test_an_installed_loss_and_extractor_train_and_are_exported(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    fdmo, folder = str(BIN / "fdmo"), tmp_path / "run"
    streams = [
        f"{stream}_stream.{setting}"
        for stream in ("texture", "shape")
        for setting in ("channels=[4, 4, 8]", "frozen=1")
    ]
    settings = changed(*SHORT, *GARMENTS, *PLAYERS, "loss.smoothing=0.2", *streams)
    options = ["--out", str(folder), *picked("loss", "extractor"), *settings]

    run([fdmo, "train", *options], env=environment)
    exported = json.loads(run([fdmo, "export", "onnx", str(folder), "--json"], env=environment))

    config = tomllib.loads((folder / "config.toml").read_text())
    assert config["loss"] == {"name": "soft-labels", "smoothing": 0.2}
    assert config["shape_stream"] == {"name": "three-convs", "channels": [4, 4, 8], "frozen": 1}
    assert Path(exported["file"]).is_file()


def test_a_landmark_head_a_dictionary_and_a_generator_of_one_file_train_and_are_exported(
    modules: Path, fdmo: Command, tmp_path: Path
) -> None:
    chosen = picked("landmark-head", "dictionary", "generator")
    options = [*chosen, *changed(*SHORT, *GARMENTS, *CHANNELS)]

    trained = fdmo("train", "--out", tmp_path / "run", "--plugins-dir", modules, *options)
    export = ("export", "onnx", tmp_path / "run", "--part", "generator")
    exported = fdmo(*export, "--plugins-dir", modules, "--json")

    assert trained.returncode == 0, trained.stderr
    assert exported.returncode == 0, exported.stderr
    assert Path(json.loads(exported.stdout)["generator"]).is_file()


def test_a_data_set_and_a_rebalancer_of_one_file_train(
    modules: Path, fdmo: Command, tmp_path: Path
) -> None:
    data = ("data.largest_class=18", "data.held_out=3")
    options = [*picked("dataset", "rebalancer"), *changed(*SHORT, *CHANNELS, *data)]

    result = fdmo("train", "--out", tmp_path / "run", "--plugins-dir", modules, *options)

    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_the_readme_s_configuration_is_accepted(
    modules: Path, packages: Path, fdmo: Command, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    with config.open("w", encoding="utf-8") as file:
        for name in NAMES.values():
            text = (packages / f"fdmo-{name}" / "README.md").read_text(encoding="utf-8")
            file.writelines(re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE))

    result = fdmo("config", "show", "--config", config, "--plugins-dir", modules)

    shown = tomllib.loads(result.stdout)
    chosen = {section: kind.name for kind in KINDS for section in kind.sections}
    assert {section: shown[section]["name"] for section in chosen} == {
        section: NAMES[kind] for section, kind in chosen.items()
    }


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "soft-labels",
            "losses",
            "Unknown kind 'losses'. Expected one of: dataset, extractor, landmark-head, "
            "dictionary, generator, loss, rebalancer. Did you mean 'loss'?",
        ),
        (
            "soft-labels",
            "optimizer",
            "Unknown kind 'optimizer'. Expected one of: dataset, extractor, landmark-head, "
            "dictionary, generator, loss, rebalancer. Use one of them.",
        ),
        (
            "fdmo-Soft_Labels",
            "loss",
            "'fdmo-Soft_Labels' is no name for a component. Expected lower case letters and "
            "digits, in words with a dash between them and a letter first, without 'fdmo-', which "
            "the package gets in front. Try 'soft-labels'.",
        ),
        (
            "convexgan",
            "loss",
            "The name 'convexgan' is taken, by the generator of fdmo. Expected a name that is "
            "unique over all kinds. Choose another one; 'fdmo plugins' lists those that are taken.",
        ),
        (
            "core",
            "loss",
            "There is a module fdmo_core already. Expected a name whose module is new, for one "
            "would hide the other. Choose another name than 'core'.",
        ),
        (
            "loss",
            "loss",
            "The class would be called Loss, as something else is called that it is written with. "
            "Expected a name of its own. Say more, for instance 'my-loss'.",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_in_words(
    name: str, kind: str, message: str, fdmo: Command, tmp_path: Path
) -> None:
    result = fdmo("plugins", "new", name, "--kind", kind, "--out", tmp_path / "out")

    assert result.stderr == f"Error: {message}\n"
    assert result.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [[], ["--one-file"]])
def test_nothing_is_overwritten(more: list[str], fdmo: Command, tmp_path: Path) -> None:
    words = ("plugins", "new", "soft-labels", "--kind", "loss", "--out", tmp_path, *more)
    assert fdmo(*words).returncode == 0
    (target,) = tmp_path.iterdir()

    result = fdmo(*words)

    assert result.stderr == (
        f"Error: {target} is there already. Expected a place where nothing is, for nothing is "
        f"overwritten. Choose another name, or another folder with --out.\n"
    )
    assert result.returncode == 1
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_be_written_is_told(fdmo: Command, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    result = fdmo("plugins", "new", "soft-labels", "--kind", "loss", "--out", tmp_path / "out")

    assert re.fullmatch(
        r"Error: Cannot write .*/out: .*\. Expected a writable folder with enough free space\. "
        r"Free some space or choose another folder with --out\.\n",
        result.stderr,
    )
    assert result.returncode == 1
    assert (tmp_path / "out").read_text() == "a file"


def test_a_plugin_of_one_file_is_written_for_a_folder_of_plugins(
    fdmo: Command, tmp_path: Path
) -> None:
    result = fdmo("plugins", "new", "soft-labels", "--kind", "loss", "--one-file", cwd=tmp_path)

    assert result.stdout.splitlines() == [
        "Wrote soft_labels.py",
        "Next:",
        "  fdmo plugins --plugins-dir .",
        "  fdmo plugins check soft-labels --plugins-dir .",
        "  fdmo train --plugin soft-labels --plugins-dir .",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["soft_labels.py"]


def test_a_plugin_of_one_file_has_a_module_name_of_its_own(fdmo: Command, tmp_path: Path) -> None:
    result = fdmo("plugins", "new", "json", "--kind", "loss", "--one-file", cwd=tmp_path)

    assert result.stderr == (
        "Error: There is a module json already. Expected a name whose module is new, for one "
        "would hide the other. Choose another name than 'json'.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_plugins_of_one_file_are_listed(modules: Path, fdmo: Command) -> None:
    rows = json.loads(fdmo("plugins", "--plugins-dir", modules, "--json").stdout)

    found = {row["kind"]: row["name"] for row in rows if row["distribution"].endswith(".py")}
    assert found == NAMES
