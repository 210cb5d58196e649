"""The configurations that come with the package."""

import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fdmo_cli.presets import find_config, preset_file, preset_names
from fdmo_core.config import RunConfig, read_toml, resolve_run
from fdmo_core.errors import ConfigError
from fdmo_core.registry import Registry

Command = Callable[..., subprocess.CompletedProcess[str]]
GIB = 2**30
BYTES_PER_IMAGE = 14 * 14 * 512 * 2  # after pool4, in fp16


def preset(name: str) -> dict[str, Any]:
    return read_toml(preset_file(name))


def test_there_are_the_two_data_sets_of_the_paper_its_baseline_and_features() -> None:
    assert preset_names() == ["deepfashion", "deepfashion2", "features", "zhang"]


def test_the_preset_for_features_changes_phase_1_alone(registry: Registry) -> None:
    content = preset("features")

    run = resolve_run(content, registry)

    assert content.keys() == {"data", "phase1"}
    assert run.data.config.name == "features"
    assert (run.core.phase1.epochs, run.core.phase1.learning_rate) == (100, 0.01)


@pytest.mark.parametrize("name", ["deepfashion", "deepfashion2", "zhang"])
def test_a_preset_is_a_valid_configuration(name: str, registry: Registry) -> None:
    content = preset(name)

    run = resolve_run(content | {"data": {"name": "garments"}}, registry)

    assert run.texture_stream.config.name == "vgg16"


@pytest.mark.parametrize("name", ["deepfashion", "deepfashion2", "zhang"])
def test_every_choice_of_a_preset_says_its_source_or_that_there_is_none(name: str) -> None:
    lines = preset_file(name).read_text().splitlines()

    chosen = [line for line in lines if re.match(r"\w+ = ", line)]
    unexplained = [line for line in chosen if "#" not in line]

    assert len(chosen) > 30
    assert {line.partition(" = ")[0] for line in unexplained} <= {
        *("mirror", "rotation", "zoom", "shift", "brightness", "contrast"),  # one line for all
        *("name", "artificial", "folder", "precision", "visibility_weight"),
    }


@pytest.mark.parametrize("name", ["deepfashion", "deepfashion2"])
def test_the_schedule_is_the_paper_s(name: str) -> None:
    content = preset(name)

    phase1, phase2, gan = content["phase1"], content["rebalancer"], content["generator"]
    assert (phase1["shape_epochs"], phase1["epochs"], phase2["epochs"]) == (3, 15, 10)
    assert phase1["batch_size"] == phase2["batch_size"] == 256
    assert phase1["shape_learning_rate"] == 5e-5
    rates = (phase1["learning_rate"], phase2["learning_rate"], gan["learning_rate"])
    assert rates == (1e-5, 1e-5, 1e-5)
    assert phase1["schedule"] == "constant"
    assert phase1["betas"] == gan["betas"] == [0.9, 0.999]
    assert content["dictionary"]["max_per_class"] == 2000
    assert (gan["discriminator_every"], gan["adversarial_weight"]) == (5, 1000)
    assert phase2["samples_per_class"] == 100


@pytest.mark.parametrize("name", ["deepfashion", "deepfashion2"])
def test_the_network_is_the_paper_s(name: str) -> None:
    content = preset(name)

    for stream in ("texture_stream", "shape_stream"):
        assert content[stream] == {
            "name": "vgg16",
            "weights": "IMAGENET1K_V1",
            "freeze_until": "conv4_3",
        }
    assert content["data"]["image_size"] == 224
    assert content["loss"]["name"] == "ldam"
    assert content["generator"]["artificial_streams"] == "both"


@pytest.mark.parametrize("name", ["deepfashion", "deepfashion2"])
def test_without_augmentation_the_cached_prefix_is_exact(name: str, registry: Registry) -> None:
    run = resolve_run(preset(name) | {"data": {"name": "garments"}}, registry)

    assert not run.core.augmentation.any()


@pytest.mark.parametrize(("name", "images"), [("deepfashion", 289_222), ("deepfashion2", 364_676)])
def test_the_cache_has_room_for_every_image_and_little_more(name: str, images: int) -> None:
    needed = images * BYTES_PER_IMAGE / GIB

    assert needed < preset(name)["cache"]["max_gib"] < 1.15 * needed


def test_the_baseline_trains_its_shape_stream_from_scratch_and_has_no_phase_2() -> None:
    content = preset("zhang")

    assert content["shape_stream"]["weights"] == "none"
    assert content["shape_stream"]["freeze_until"] == "none"
    assert not content["model"]["auxiliary_classifier"]
    assert (content["phase1"]["shape_epochs"], content["phase1"]["epochs"]) == (3, 12)
    assert content["rebalancer"]["epochs"] == 0


def test_a_preset_has_no_section_that_a_run_has_not() -> None:
    for name in preset_names():
        assert preset(name).keys() <= RunConfig.model_fields.keys()


def test_a_file_of_a_preset_s_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zhang").write_text("seed = 4\n")

    assert find_config(Path("zhang")) == Path("zhang")


def test_a_folder_of_a_preset_s_name_does_not_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deepfashion").mkdir()

    assert find_config(Path("deepfashion")) == preset_file("deepfashion")


def test_a_word_that_is_neither_lists_the_presets() -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(Path("deepfashoin"))

    assert str(caught.value) == (
        "'deepfashoin' is neither a file nor a preset. Expected a TOML file, or one of: "
        "deepfashion, deepfashion2, features, zhang. Did you mean 'deepfashion'? Check the path, "
        "or write a file with 'fdmo config show > run.toml'."
    )


@pytest.mark.parametrize("path", ["missing.toml", "folder/deepfashion"])
def test_what_looks_like_a_path_is_left_to_the_reader(path: str) -> None:
    assert find_config(Path(path)) == Path(path)


def test_config_show_takes_a_preset(fdmo: Command) -> None:
    result = fdmo("config", "show", "--config", "zhang", "--data", "garments")

    assert result.returncode == 0, result.stderr
    assert tomllib.loads(result.stdout)["phase1"]["epochs"] == 12


def test_the_help_names_every_preset(fdmo: Command) -> None:
    shown = fdmo("train", "--help").stdout

    assert all(name in shown for name in preset_names())
