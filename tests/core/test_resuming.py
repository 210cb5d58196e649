"""What a run was begun with, and what of it may be something else when the run goes on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.errors import ConfigError, RunFolderError
from fdmo_core.recorder import Recorder
from fdmo_core.resuming import Begun, changes, differences, read_begun, require_same
from fdmo_core.run_folder import create_run_folder
from fdmo_core.samples import Splits

MakeRun = Callable[..., Run]


def compute_of(run: Run) -> Compute:
    return Compute(torch.device("cpu"), run.core.compute)


@pytest.fixture
def begun(tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path) -> Begun:
    run = tiny_run()
    folder = create_run_folder(tmp_path / "run", data="garments")
    Recorder(folder, run, tiny_splits, compute_of(run)).begin("fdmo train")
    return read_begun(folder)


def refusal(begun: Begun, run: Run, splits: Splits, *allowed: str) -> str:
    with pytest.raises(ConfigError) as caught:
        require_same(begun, run, splits, compute_of(run), allowed=allowed)
    return str(caught.value)


def test_the_same_run_goes_on(begun: Begun, tiny_run: MakeRun, tiny_splits: Splits) -> None:
    run = tiny_run()

    assert require_same(begun, run, tiny_splits, compute_of(run)) == []
    assert begun.phase1_from is None
    assert not begun.is_finished


def test_all_that_differs_is_listed(begun: Begun, tiny_run: MakeRun, tiny_splits: Splits) -> None:
    run = tiny_run(seed=3, phase1={"learning_rate": 0.5}, loading={"memory_mib": 1})
    splits = replace(tiny_splits, digest="abc")

    assert refusal(begun, run, splits) == (
        f"{begun.folder} was begun with something else:\n"
        f"  loading.memory_mib was {tiny_run().core.loading.memory_mib}, is 1\n"
        f"  phase1.learning_rate was 0.002, is 0.5\n"
        f"  seed was 0, is 3\n"
        f"  data.digest was {tiny_splits.digest!r}, is 'abc'\n"
        f"Expected the same, so that the run ends with the same bits. Go back to what it was, or "
        f"train again in a new folder. By itself --allow-changed would do for: loading.memory_mib."
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"loading": {"memory_mib": 1}},
        {"cache": {"folder": "elsewhere", "max_gib": 3.0}},
        {"checkpoint": {"steps": 4, "minutes": 1.0}},
    ],
)
def test_what_does_not_touch_the_result_may_be_accepted(
    begun: Begun, tiny_run: MakeRun, tiny_splits: Splits, sections: dict[str, dict[str, Any]]
) -> None:
    run = tiny_run(**sections)
    keys = [f"{name}.{key}" for name, part in sections.items() for key in part]
    options = " ".join(f"--allow-changed {key}" for key in sorted(keys))

    assert f"accept it, with other last digits, by {options}." in refusal(begun, run, tiny_splits)
    found = require_same(begun, run, tiny_splits, compute_of(run), allowed=keys)
    assert sorted(one.key for one in found) == sorted(keys)


@pytest.mark.parametrize(
    ("key", "sections"),
    [
        ("seed", {"seed": 1}),
        ("cache.precision", {"cache": {"precision": "fp32"}}),
        ("rebalancer.epochs", {"rebalancer": {"epochs": 2}}),
        ("compute.precision", {"compute": {"precision": "bf16"}}),
    ],
)
def test_what_decides_the_result_cannot_be_accepted(
    begun: Begun, tiny_run: MakeRun, tiny_splits: Splits, key: str, sections: dict[str, Any]
) -> None:
    message = refusal(begun, tiny_run(**sections), tiny_splits, key)

    assert f"\n  {key} was " in message
    assert "--allow-changed" not in message


def test_the_order_of_classes_counts(begun: Begun, tiny_run: MakeRun, tiny_splits: Splits) -> None:
    turned = replace(tiny_splits, class_names=tiny_splits.class_names[::-1])

    message = refusal(begun, tiny_run(), turned, "data.class_names")

    assert f"data.class_names was {list(tiny_splits.class_names)!r}, is " in message


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("threads",), "threads"),
        (("processes",), "processes"),
        (("python",), "python"),
        (("packages", "torch"), "packages.torch"),
    ],
)
def test_another_machine_or_version_may_be_accepted(
    begun: Begun, tiny_run: MakeRun, tiny_splits: Splits, path: tuple[str, ...], key: str
) -> None:
    environment: Any = json.loads(json.dumps(begun.environment))
    holder = environment
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = "another"
    before, run = replace(begun, environment=environment), tiny_run()

    assert f"{key} was 'another', is " in refusal(before, run, tiny_splits)
    (found,) = require_same(before, run, tiny_splits, compute_of(run), allowed=[key])
    assert (found.key, found.before, found.is_harmless) == (key, "another", True)


def test_the_version_of_a_plugin_counts(
    begun: Begun, tiny_run: MakeRun, tiny_splits: Splits
) -> None:
    plugins = json.loads(json.dumps(begun.environment["plugins"]))
    name = next(iter(plugins))
    plugins[name] = "0.0.1" if isinstance(plugins[name], str) else {"version": "0.0.1"}
    before = replace(begun, environment={**begun.environment, "plugins": plugins})
    run = tiny_run()

    found = differences(before, run, tiny_splits, compute_of(run))

    assert found
    assert all(one.key.startswith(f"plugins.{name}") and one.is_harmless for one in found)


def test_a_setting_that_only_one_has_is_a_change() -> None:
    assert changes({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}, "b": 4}) == [
        ("a.x", 1, None),
        ("a.y", 2, 3),
        ("b", None, 4),
    ]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError) as caught:
        read_begun(tmp_path)

    assert str(caught.value) == (
        f"{tmp_path} holds no run to go on with: it has no config.toml. Expected a folder that "
        f"'fdmo train' began. Check the path; a run that was killed before it began is started "
        f"anew after its folder is removed."
    )


@pytest.mark.parametrize("name", ["environment.json", "data.json"])
@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"digest": 1}', "[" * 100_000])
def test_a_damaged_folder_is_refused(begun: Begun, name: str, content: str | None) -> None:
    file = begun.folder / name
    file.unlink()
    if content is not None:
        file.write_text(content)

    with pytest.raises(RunFolderError, match="cannot be gone on with"):
        read_begun(begun.folder)


def test_a_finished_run_gives_its_metrics_if_they_are_whole(begun: Begun) -> None:
    (begun.folder / "metrics.json").write_text('{"test": null}')
    assert begun.is_finished
    assert begun.metrics() == {"test": None}
