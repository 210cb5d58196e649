"""``fdmo dictionary show`` in processes of its own."""

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

Command = Callable[..., subprocess.CompletedProcess[str]]


def shown(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_every_source_is_an_image_of_the_class_and_the_weights_sum_to_1(
    fdmo: Command, run_folder: Path
) -> None:
    found = shown(fdmo("dictionary", "show", run_folder, "--class", "knit shorts", "--json"))

    names = json.loads((run_folder / "dictionary" / "sources.json").read_text())
    sources = load_file(run_folder / "dictionary" / "features.safetensors")["sources"].tolist()
    known = dict(zip(sources, names, strict=True))
    own = found["classes"]["knit shorts"]
    assert len(own["samples"]) == 8
    for sample in own["samples"]:
        assert {one["source"] for one in sample} <= set(names[-own["figures"]["dictionary_rows"] :])
        assert all(known[one["image"]] == one["source"] for one in sample)
        for stream in range(2):
            assert sum(one["weights"][stream] for one in sample) == pytest.approx(1)
    assert own["figures"]["held_out_rows"] == 2
    assert found["files"] == []


def test_the_text_gives_the_same_weights_a_line_a_stream(fdmo: Command, run_folder: Path) -> None:
    arguments = ("dictionary", "show", run_folder, "--class", "knit shorts", "--num", 2)
    found = shown(fdmo(*arguments, "--json"))["classes"]["knit shorts"]["samples"]

    lines = fdmo(*arguments).stdout.splitlines()

    assert lines[0] == "knit shorts, artificial features:"
    for number, sample in enumerate(found):
        for stream, name in enumerate(("texture", "shape")):
            largest = max(sample, key=lambda one: one["weights"][stream])
            weight = f"{largest['weights'][stream]:.2f} {largest['source']}"
            line = lines[1 + 2 * number + stream]
            head = f"{number + 1:3} " if stream == 0 else "    "
            assert line.startswith(f"{head}{name + ':':9}{weight}")


def test_the_seed_decides_what_is_made(fdmo: Command, run_folder: Path) -> None:
    arguments = ("dictionary", "show", run_folder, "--class", "knit shorts", "--json")

    first, again, other = (shown(fdmo(*arguments, "--seed", seed)) for seed in (1, 1, 2))

    assert first == again
    assert first["classes"]["knit shorts"]["samples"] != other["classes"]["knit shorts"]["samples"]


def test_all_classes_are_a_table(fdmo: Command, run_folder: Path) -> None:
    class_names = json.loads((run_folder / "data.json").read_text())["class_names"]

    result = fdmo("dictionary", "show", run_folder, "--all")

    assert result.returncode == 0, result.stderr
    rows = [line.split("│")[1].strip() for line in result.stdout.splitlines() if "│" in line]
    assert rows == class_names
    assert "artificial features:" not in result.stdout


def test_sheets_and_maps_are_written_where_asked_for(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "pictures"
    arguments = ("dictionary", "show", run_folder, "--class", "knit shorts", "--out", out)

    result = fdmo(*arguments)
    bare = fdmo(*arguments[:-1], tmp_path / "bare", "--map", "none", "--json")

    names = [f"11-knit-shorts-{name}" for name in ("sources.png", "map.png", "map.svg")]
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    assert result.stdout.splitlines()[-3:] == [f"Wrote {out / name}" for name in names]
    assert shown(bare)["files"] == [str(tmp_path / "bare" / names[0])]
    assert [path.name for path in (tmp_path / "bare").iterdir()] == names[:1]


def test_a_run_on_real_features_only_has_nothing_to_show(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    config = ("--config", run_folder / "config.toml", "--phase1-from", run_folder)
    real = ("--set", "rebalancer.artificial=false", "--json")
    trained = fdmo("train", *config, *real, "--out", tmp_path / "real")
    assert trained.returncode == 0, trained.stderr

    result = fdmo(*("dictionary", "show", tmp_path / "real", "--all", "--phase1-from", run_folder))

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: Rebalancer 'adversarial' trained on no artificial features. Expected one that "
        "does, such as 'adversarial' with rebalancer.artificial = true. Train phase 2 with it "
        "from the same phase 1: fdmo train --phase1-from RUN."
    )


def test_a_generator_with_weights_per_number_names_no_sources_and_has_distances(
    fdmo: Command, run_folder: Path, tmp_path: Path
) -> None:
    config = ("--config", run_folder / "config.toml", "--phase1-from", run_folder)
    per_feature = ("--set", "generator.weights=per-feature", "--json")
    trained = fdmo("train", *config, *per_feature, "--out", tmp_path / "run")
    assert trained.returncode == 0, trained.stderr

    result = fdmo(
        *("dictionary", "show", tmp_path / "run", "--phase1-from", run_folder),
        *("--class", "striped tee", "--out", tmp_path / "pictures"),
    )

    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "striped tee: the generator makes features without naming sources."
    cells = [cell.strip() for cell in next(one for one in lines if "│" in one).split("│")]
    assert cells[4:6] == ["-", "-"]
    assert math.isfinite(float(cells[8]))
    assert not list((tmp_path / "pictures").glob("*-sources.png"))


def test_sources_of_features_are_rows_and_no_sheet_is_drawn(fdmo: Command, tmp_path: Path) -> None:
    labels = np.repeat(np.arange(2), [40, 20])
    features = np.random.default_rng(0).normal(size=(60, 6)).astype("f4")
    np.savez(tmp_path / "embeddings.npz", features=features, labels=labels)
    fast = ("--set", "phase1.epochs=1", "--set", "rebalancer.epochs=1", "--json")
    data = ("--data", tmp_path / "embeddings.npz")
    trained = fdmo("train", *data, *fast, "--out", tmp_path / "run")
    assert trained.returncode == 0, trained.stderr

    result = fdmo(
        *("dictionary", "show", tmp_path / "run", "--class", "1"),
        *("--out", tmp_path / "pictures", "--json"),
    )

    found = shown(result)
    assert "embeddings.npz row " in found["classes"]["1"]["samples"][0][0]["source"]
    assert [Path(file).name for file in found["files"]] == ["01-1-map.png", "01-1-map.svg"]


def test_an_unknown_class_is_named_with_the_closest(fdmo: Command, run_folder: Path) -> None:
    result = fdmo("dictionary", "show", run_folder, "--class", "knit short")

    assert result.returncode == 1
    assert "Error: Unknown class 'knit short'. Expected one of: " in result.stderr
    assert result.stderr.endswith("Did you mean 'knit shorts'? Correct --class.\n")


@pytest.mark.parametrize("options", [(), ("--class", "knit tee", "--all")])
def test_one_class_or_all_are_asked_for(
    fdmo: Command, run_folder: Path, options: tuple[str, ...]
) -> None:
    result = fdmo("dictionary", "show", run_folder, *options)

    assert result.returncode == 1
    assert "Expected one of the two. Name a class, or take all." in result.stderr


def test_an_unknown_map_is_refused_before_anything_is_computed(
    fdmo: Command, tmp_path: Path
) -> None:
    result = fdmo("dictionary", "show", tmp_path / "nowhere", "--all", "--map", "tsne")

    assert result.returncode == 1
    assert result.stderr == (
        "Error: Unknown map 'tsne'. Expected one of: pca, umap. Leave --map out for pca.\n"
    )


def test_what_is_no_run_is_an_error(fdmo: Command, tmp_path: Path) -> None:
    result = fdmo("dictionary", "show", tmp_path, "--all")

    assert result.returncode == 1
    assert f"Error: {tmp_path} is no run folder: it has no config.toml." in result.stderr
