"""Where two runs part, on copies of one run that are changed in one place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fdmo_core.errors import RunFolderError
from fdmo_core.manifest import add_to_manifest
from fdmo_core.run_comparison import first_difference


def change_json(folder: Path, name: str, change: Callable[[Any], object]) -> None:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    add_to_manifest(folder, [name])


def change_tensors(folder: Path, name: str, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)
    add_to_manifest(folder, [name])


def change_log(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    change(lines)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_copy_is_equal(finished_run: Path, copied_run: Path) -> None:
    assert first_difference(finished_run, copied_run) == ""


def test_times_versions_and_checkpoints_are_not_looked_at(
    finished_run: Path, copied_run: Path
) -> None:
    change_json(copied_run, "environment.json", lambda one: one.update(command="another"))
    change_log(copied_run, lambda lines: lines[0].update(time=0))
    (copied_run / "checkpoints" / "phase1.safetensors").unlink()

    assert first_difference(finished_run, copied_run) == ""


def test_other_data_is_told_first(finished_run: Path, copied_run: Path) -> None:
    change_json(copied_run, "data.json", lambda one: one.update(digest="fea7"))
    change_json(copied_run, "metrics.json", lambda one: one["val"]["after"].update(top1=2.0))
    digest = json.loads((finished_run / "data.json").read_text())["digest"]

    assert (
        first_difference(finished_run, copied_run) == f"data.json: digest was {digest!r}, is 'fea7'"
    )


def test_the_first_step_that_differs_is_told_with_its_term(
    finished_run: Path, copied_run: Path
) -> None:
    def later(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            if line.get("phase") == "phase1" and line["step"] >= 2:
                line["main"] = 99.5

    before = next(
        line["main"]
        for line in map(json.loads, (finished_run / "log.jsonl").read_text().splitlines())
        if line.get("phase") == "phase1" and line["step"] == 3
    )
    change_log(copied_run, lambda lines: later([line for line in lines if line.get("step") == 3]))

    assert first_difference(finished_run, copied_run) == (
        f"log.jsonl: step 3 of phase1, main was {before!r}, is 99.5"
    )


def test_of_a_step_that_was_done_twice_the_second_counts(
    finished_run: Path, copied_run: Path
) -> None:
    def twice(lines: list[dict[str, Any]]) -> None:
        first = next(index for index, line in enumerate(lines) if line.get("step") == 2)
        lines.insert(first, lines[first] | {"sum": -1.0})

    change_log(copied_run, twice)

    assert first_difference(finished_run, copied_run) == ""


def test_a_missing_step_is_told(finished_run: Path, copied_run: Path) -> None:
    def without_last_step(lines: list[dict[str, Any]]) -> None:
        lines.remove([line for line in lines if "step" in line][-1])

    change_log(copied_run, without_last_step)

    assert first_difference(finished_run, copied_run).startswith("log.jsonl: step ")
    assert first_difference(finished_run, copied_run).endswith("is None")


def test_a_dictionary_s_tensor_that_differs_is_told(finished_run: Path, copied_run: Path) -> None:
    name = "dictionary/features.safetensors"
    key = min(load_file(finished_run / name))
    change_tensors(copied_run, name, lambda tensors: tensors[key].view(-1)[:1].add_(1))

    assert first_difference(finished_run, copied_run) == f"{name}: {key} differs by up to 1"


def test_a_dictionary_s_file_that_is_missing_is_told(finished_run: Path, copied_run: Path) -> None:
    for folder in (finished_run, copied_run):
        assert (folder / "dictionary" / "sources.json").exists()
    (copied_run / "dictionary" / "extra").write_text("x")

    assert first_difference(finished_run, copied_run) == f"dictionary/extra is in {copied_run} only"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: one.view(-1)[:1].fill_(torch.nan), "differs by up to nan"),
        (lambda one: one.view(-1)[:1].add_(0.5), "differs by up to 0.5"),
    ],
)
def test_a_weight_that_differs_is_told(
    finished_run: Path, copied_run: Path, change: Callable[[Tensor], Any], told: str
) -> None:
    key = min(
        key for key, one in load_file(finished_run / "model.safetensors").items() if one.dim()
    )
    change_tensors(copied_run, "model.safetensors", lambda tensors: change(tensors[key]))

    assert first_difference(finished_run, copied_run) == f"model.safetensors: {key} {told}"


def test_a_weight_of_another_shape_or_name_is_told(finished_run: Path, copied_run: Path) -> None:
    key = "main_classifier.weight"
    shape = tuple(load_file(finished_run / "model.safetensors")[key].shape)
    change_tensors(copied_run, "model.safetensors", lambda all: all.update({key: torch.zeros(2)}))
    assert first_difference(finished_run, copied_run) == (
        f"model.safetensors: {key} was torch.float32 of shape {shape}, is torch.float32 of shape "
        f"(2,)"
    )

    change_tensors(copied_run, "model.safetensors", lambda all: all.update({"a": torch.zeros(2)}))
    assert (
        first_difference(finished_run, copied_run)
        == f"model.safetensors: a is in {copied_run} only"
    )


def test_a_figure_that_differs_is_told(finished_run: Path, copied_run: Path) -> None:
    before = json.loads((finished_run / "metrics.json").read_text())["val"]["after"]["top1"]
    change_json(copied_run, "metrics.json", lambda one: one["val"]["after"].update(top1=2.0))

    assert first_difference(finished_run, copied_run) == (
        f"metrics.json: val.after.top1 was {before!r}, is 2.0"
    )


def test_a_damaged_run_is_refused(finished_run: Path, copied_run: Path) -> None:
    (copied_run / "metrics.json").write_text("{}")

    with pytest.raises(RunFolderError, match=r"metrics.json is not what the run wrote"):
        first_difference(finished_run, copied_run)


def test_a_log_that_is_none_is_refused(finished_run: Path, copied_run: Path) -> None:
    (copied_run / "log.jsonl").write_text("[1]\n")

    with pytest.raises(RunFolderError, match=r"log.jsonl cannot be read"):
        first_difference(finished_run, copied_run)
