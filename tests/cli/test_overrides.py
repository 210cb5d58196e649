"""What the command line changes in a configuration, against the real registry."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fdmo_cli.overrides import override, require_data_settings
from fdmo_core.errors import ConfigError, UnknownComponentError
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry

NEITHER = (
    "'{0}' is neither a folder, a table, a file of features nor a data set. Expected a folder with "
    "one folder a class, a .csv, .tsv or .parquet table of images, a .npz, .npy or .safetensors "
    "file of features, or one of: deepfashion, deepfashion2, digits, fashion-mnist, features, "
    "folder, garments, table.{1} Correct --data."
)


@pytest.fixture(scope="module")
def change() -> Callable[..., dict[str, Any]]:
    registry = Registry(load_plugins())

    def run(content: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        return override(content or {}, registry, **changes)

    return run


def test_a_component_is_put_into_the_section_of_its_kind(
    change: Callable[..., dict[str, Any]],
) -> None:
    changed = change(plugins=["focal", "folder"])

    assert changed == {"loss": {"name": "focal"}, "data": {"name": "folder"}}


def test_an_extractor_is_put_into_both_streams(change: Callable[..., dict[str, Any]]) -> None:
    streams = {"texture_stream": {"name": "other"}, "shape_stream": {"name": "other"}}

    changed = change(streams, plugins=["small-vgg"])

    assert changed == {name: {"name": "small-vgg"} for name in streams}


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("fashion-mnist", "data"),
        ("ldm", "landmark_head"),
        ("memory", "dictionary"),
        ("convexgan", "generator"),
        ("squared-error", "loss"),
        ("adversarial", "rebalancer"),
    ],
)
def test_every_kind_has_a_section(
    change: Callable[..., dict[str, Any]], name: str, section: str
) -> None:
    changed = change({section: {"name": "other", "option": 1}}, plugins=[name])

    assert changed == {section: {"name": name}}


def test_a_component_that_is_chosen_already_keeps_its_options(
    change: Callable[..., dict[str, Any]],
) -> None:
    content = {"loss": {"name": "focal", "gamma": 1.5}}

    assert change(content, plugins=["focal"]) == content


def test_the_default_component_keeps_the_options_of_a_section_without_a_name(
    change: Callable[..., dict[str, Any]],
) -> None:
    changed = change({"loss": {"max_margin": 0.3}}, plugins=["ldam"])

    assert changed == {"loss": {"name": "ldam", "max_margin": 0.3}}


def test_the_configuration_that_is_changed_stays_as_it_was(
    change: Callable[..., dict[str, Any]],
) -> None:
    content = {"loss": {"name": "focal", "gamma": 1.5}}

    change(content, settings=["loss.gamma=0.5"], seed=3)

    assert content == {"loss": {"name": "focal", "gamma": 1.5}}


def test_an_unknown_plugin_suggests_the_closest(change: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(UnknownComponentError, match=r"component 'foccal'.*Did you mean 'focal'"):
        change(plugins=["foccal"])


def test_data_may_be_a_name(change: Callable[..., dict[str, Any]]) -> None:
    assert change(data="fashion-mnist") == {"data": {"name": "fashion-mnist"}}


def test_data_may_be_a_folder(change: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    changed = change({"data": {"name": "garments", "largest_class": 9}}, data=str(tmp_path))

    assert changed == {"data": {"name": "folder", "root": str(tmp_path)}}


@pytest.mark.parametrize("name", ["f.npz", "f.NPY", "f.safetensors"])
def test_data_may_be_a_file_of_features(
    change: Callable[..., dict[str, Any]], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).touch()

    changed = change(data=str(tmp_path / name))

    assert changed == {"data": {"name": "features", "file": str(tmp_path / name)}}


def test_a_parquet_file_of_features_is_chosen_by_name(
    change: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "f.parquet"
    file.touch()

    assert change(data=str(file))["data"]["name"] == "table"
    assert change(data="features", settings=[f"data.file={file}"]) == {
        "data": {"name": "features", "file": str(file)}
    }


def test_another_folder_keeps_the_options_of_the_first(
    change: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    content = {"data": {"name": "folder", "root": "elsewhere", "image_size": 96}}

    changed = change(content, data=str(tmp_path))

    assert changed == {"data": {"name": "folder", "root": str(tmp_path), "image_size": 96}}


def test_a_name_counts_before_a_folder_of_the_same_name(
    change: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fashion-mnist").mkdir()
    monkeypatch.chdir(tmp_path)

    assert change(data="fashion-mnist") == {"data": {"name": "fashion-mnist"}}
    assert change(data="./fashion-mnist")["data"]["name"] == "folder"


@pytest.mark.parametrize(
    ("data", "hint"),
    [("nowhere", ""), ("garmets", " Did you mean 'garments'?"), ("focal", ""), (__file__, "")],
)
def test_data_that_is_neither_name_nor_folder_is_an_error(
    change: Callable[..., dict[str, Any]], data: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        change(data=data)

    assert str(caught.value) == NEITHER.format(data, hint)


def test_a_table_of_images_is_data(change: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "labels.CSV"
    file.write_text("path,label", encoding="utf-8")

    assert change(data=str(file))["data"] == {"name": "table", "file": str(file)}


def test_a_component_is_chosen_before_its_options_are_set(
    change: Callable[..., dict[str, Any]],
) -> None:
    settings = ["data.image_size=32", "data.name=folder"]

    for order in (settings, settings[::-1]):
        assert change(settings=order)["data"] == {"name": "folder", "image_size": 32}


def test_the_seed_replaces_the_one_of_the_file(change: Callable[..., dict[str, Any]]) -> None:
    assert change({"seed": 1}, seed=0) == {"seed": 0}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("phase1.epochs=3", {"phase1": {"epochs": 3}}),
        ("phase1.learning_rate=1e-3", {"phase1": {"learning_rate": 1e-3}}),
        ("model.auxiliary_classifier=false", {"model": {"auxiliary_classifier": False}}),
        ("phase1.schedule=cosine", {"phase1": {"schedule": "cosine"}}),
        ('phase1.schedule="cosine"', {"phase1": {"schedule": "cosine"}}),
        ("phase1.schedule=", {"phase1": {"schedule": ""}}),
        ("phase1.betas=[0.5, 0.9]", {"phase1": {"betas": [0.5, 0.9]}}),
        ("phase1.betas=[0.5", {"phase1": {"betas": "[0.5"}}),
        ("phase1.note=a=b", {"phase1": {"note": "a=b"}}),
        ("phase1.note=" + "[" * 2000, {"phase1": {"note": "[" * 2000}}),
        ("seed=7", {"seed": 7}),
        (" phase1.epochs = 3", {"phase1": {"epochs": 3}}),
        ("seed=1\nphase1.epochs=2", {"seed": "1\nphase1.epochs=2"}),
        ("loss={name = 'focal'}", {"loss": {"name": "focal"}}),
        ("loss.max_margin=0.2", {"loss": {"name": "ldam", "max_margin": 0.2}}),
    ],
)
def test_a_setting_is_read_as_toml_or_else_as_a_word(
    change: Callable[..., dict[str, Any]], setting: str, expected: dict[str, Any]
) -> None:
    assert change(settings=[setting]) == expected


def test_settings_are_applied_last_and_in_order(change: Callable[..., dict[str, Any]]) -> None:
    changed = change(plugins=["focal"], seed=1, settings=["loss.gamma=1", "seed=2", "loss.gamma=3"])

    assert changed == {"loss": {"name": "focal", "gamma": 3}, "seed": 2}


@pytest.mark.parametrize("setting", ["", "=", "=3", "seed", "a.=3", ".a=3", "a.b.c=3", "a..b=1"])
def test_anything_else_is_no_setting(change: Callable[..., dict[str, Any]], setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        change(settings=[setting])

    assert str(caught.value) == (
        f"'--set {setting}' is not a setting. Expected section.key=value, or seed=value. For "
        f"instance: --set phase1.epochs=3"
    )


def test_a_component_is_not_chosen_by_a_bare_word(change: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ConfigError) as caught:
        change(settings=["loss=focal"])

    assert str(caught.value) == (
        "'--set loss=focal' gives the section [loss] a single value. Expected section.key=value. "
        "Write --set loss.name=focal to choose a component."
    )


@pytest.mark.parametrize("changes", [{"settings": ["loss.gamma=1"]}, {"plugins": ["focal"]}])
def test_a_section_that_is_no_table_cannot_be_changed(
    change: Callable[..., dict[str, Any]], changes: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        change({"loss": [1]}, **changes)

    assert str(caught.value) == ("'loss' is [1]. Expected a table of settings. Write it as [loss].")


def test_two_components_of_one_kind_are_refused(change: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ConfigError) as caught:
        change(plugins=["focal", "convexgan", "ldam"])

    assert str(caught.value) == (
        "--plugin names two components of the kind loss: 'focal' and 'ldam'. Expected one of each "
        "kind. Leave one out."
    )


def test_setting_a_name_drops_the_options_of_the_component_before(
    change: Callable[..., dict[str, Any]],
) -> None:
    content = {"loss": {"name": "ldam", "scale": 20.0}}

    assert change(content, settings=["loss.name=focal"]) == {"loss": {"name": "focal"}}


def test_the_image_size_of_a_trained_run_cannot_be_set() -> None:
    require_data_settings(["data.root=images", "loading.workers=2", "metrics.top_k=3"])

    with pytest.raises(ConfigError, match=r"'--set data\.image_size=17' would change a run that"):
        require_data_settings(["data.image_size=17"])
