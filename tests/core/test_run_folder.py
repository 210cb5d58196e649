import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fdmo_core.classifier import CosineClassifier
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.errors import ConfigError, RunFolderError
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.model_building import build_model, initial_network
from fdmo_core.randomness import rng_for
from fdmo_core.registry import Registry
from fdmo_core.run_folder import create_run_folder, describe_environment, load_run, save_model
from fdmo_core.samples import Splits

MakeRun = Callable[..., Run]


def images(count: int = 6) -> Tensor:
    return torch.rand(count, 3, 24, 24, generator=rng_for(0, "images"))


def used_model(run: Run) -> TwoStreamClassifier:
    """Return a model whose normalisation has seen images, as a trained one's has."""
    model = build_model(run, num_classes=12, num_landmarks=8)
    model.train()(images())
    return model.eval()


@pytest.fixture
def saved(tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path) -> Path:
    """A folder that holds a model and nothing else of a run."""
    save_model(tmp_path, used_model(tiny_run()), tiny_run(), tiny_splits)
    return tmp_path


def change_head(folder: Path, **changes: Any) -> None:
    head = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(head | changes))


def refusal(folder: Path, registry: Registry) -> str:
    with pytest.raises(RunFolderError) as caught:
        load_run(folder, registry)
    return str(caught.value)


def test_a_new_folder_has_room_for_checkpoints_and_dictionary(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "deep" / "down", data="garments")

    assert folder == tmp_path / "deep" / "down"
    assert sorted(path.name for path in folder.rglob("*")) == ["checkpoints", "dictionary"]


def test_a_folder_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(RunFolderError) as caught:
        create_run_folder(tmp_path, data="garments")

    assert str(caught.value) == (
        f"{tmp_path} exists already. Expected a folder that is not there yet. Go on with "
        f"that run by --resume, choose another folder with --out, or remove it."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RunFolderError) as caught:
        create_run_folder(tmp_path / "file" / "run", data="garments")

    assert str(caught.value) == (
        f"Cannot make {tmp_path / 'file' / 'run'}: Not a directory. Expected a place to write to. "
        f"Choose another one with --out."
    )


def test_runs_without_a_name_are_numbered_by_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    made = [create_run_folder(None, data=data) for data in ("garments", "folder", "garments")]

    assert made == [Path("runs/garments-1"), Path("runs/folder-1"), Path("runs/garments-2")]
    assert all((tmp_path / one / "checkpoints").is_dir() for one in made)


def test_the_environment_is_described_as_plain_data(tiny_run: MakeRun) -> None:
    described = describe_environment(
        tiny_run(seed=7), Compute(torch.device("cpu")), command="fdmo train --seed 7"
    )

    assert described == json.loads(json.dumps(described))
    assert described["command"] == "fdmo train --seed 7"
    assert (described["seed"], described["device"]) == (7, "cpu")
    assert described["packages"]["torch"] == version("torch")
    assert described["plugins"] == {"fdmo": version("fdmo")}


def test_a_loaded_model_gives_equal_logits(
    tiny_run: MakeRun, saved: Path, registry: Registry
) -> None:
    loaded = load_run(saved, registry).model

    assert not loaded.training
    assert torch.equal(loaded(images()).logits, used_model(tiny_run())(images()).logits)


def test_a_loaded_model_shares_its_prefix(
    tiny_run: MakeRun,
    tiny_splits: Splits,
    share: Callable[[TwoStreamClassifier], TwoStreamClassifier],
    registry: Registry,
    tmp_path: Path,
) -> None:
    frozen = {"freeze_stages": 1}
    run = tiny_run(texture_stream=frozen, shape_stream=frozen)
    model = share(build_model(run, num_classes=12, num_landmarks=8)).eval()

    save_model(tmp_path, model, run, tiny_splits)

    loaded = load_run(tmp_path, registry).model
    assert loaded.num_shared_stages == model.num_shared_stages == 2
    found, expected = (one(one.prefix(images())).logits for one in (loaded, model))
    assert torch.equal(found, expected)


def test_a_cosine_classifier_comes_back_with_its_scale(
    tiny_run: MakeRun, tiny_splits: Splits, registry: Registry, tmp_path: Path
) -> None:
    model = used_model(tiny_run())
    model.main_classifier = CosineClassifier(64, 12, scale=17.5)

    save_model(tmp_path, model, tiny_run(), tiny_splits)

    loaded = load_run(tmp_path, registry).model
    assert isinstance(loaded.main_classifier, CosineClassifier)
    assert torch.equal(loaded(images()).logits, model(images()).logits)


def test_a_loaded_run_knows_its_data_and_its_configuration(
    tiny_run: MakeRun, tiny_splits: Splits, saved: Path, registry: Registry
) -> None:
    loaded = load_run(saved, registry)

    assert loaded.folder == saved
    assert loaded.run.as_dict() == tiny_run().as_dict()
    assert loaded.image_size == 24
    assert loaded.class_names == tiny_splits.class_names
    assert loaded.data_digest == tiny_splits.digest
    np.testing.assert_array_equal(loaded.class_counts, tiny_splits.counts("train"))


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_folder_without_one_of_the_files_is_refused(
    saved: Path, registry: Registry, name: str
) -> None:
    (saved / name).unlink()

    message = refusal(saved, registry)

    assert message.startswith(f"{saved} is not a finished run: ")
    assert name in message
    assert message.endswith(
        "Expected a folder that 'fdmo train' wrote to its end, with model.json and "
        "model.safetensors. Check the path, or train again."
    )


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_truncated_file_is_refused(saved: Path, registry: Registry, name: str) -> None:
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: len(content) // 2])

    assert refusal(saved, registry).startswith(f"{saved} is not a finished run: ")


def test_another_format_is_refused(saved: Path, registry: Registry) -> None:
    change_head(saved, format=2)

    assert refusal(saved, registry) == (
        f"The model in {saved} has format 2. Expected 1. Use the version of fdmo that wrote it "
        f"(environment.json of the run names it), or train again."
    )


def test_weights_of_another_model_are_refused(
    tiny_run: MakeRun, saved: Path, registry: Registry
) -> None:
    other = tiny_run(texture_stream={"channels": [4, 6]})
    change_head(saved, config=other.as_dict())

    message = refusal(saved, registry)

    assert message.startswith(
        f"The weights in {saved} do not fit the model that model.json describes: "
    )
    assert message.endswith(
        "Expected both from one run. Use the plugin versions that environment.json names."
    )


def test_what_only_training_needed_may_be_gone(
    tiny_run: MakeRun, saved: Path, registry: Registry
) -> None:
    gone = {"name": "vanished", "image_size": 24, "depth": 3}
    sections = ("data", "dictionary", "rebalancer", "generator", "loss")
    config = tiny_run().as_dict() | dict.fromkeys(sections, gone)
    change_head(saved, config=config)

    trained = load_run(saved, registry)

    assert trained.image_size == 24
    assert trained.run.as_dict() == config
    with pytest.raises(ConfigError, match=r"loss\.name: Unknown loss 'vanished'\. Registered: "):
        _ = trained.run.loss.component


def test_a_plugin_that_made_the_network_is_named_with_the_version_that_the_run_had(
    tiny_run: MakeRun, saved: Path, registry: Registry
) -> None:
    change_head(saved, config=tiny_run().as_dict() | {"shape_stream": {"name": "vanished"}})
    one = {"name": "vanished", "distribution": "fdmo-vanished", "version": "1.2"}
    (saved / "environment.json").write_text(json.dumps({"components": {"shape_stream": one}}))

    with pytest.raises(ConfigError) as caught:
        load_run(saved, registry)

    assert str(caught.value) == (
        f"The configuration is invalid:\n  shape_stream.name: Extractor 'vanished' is not here: "
        f"{saved} had it from fdmo-vanished 1.2. Expected that plugin, loaded. "
        f"Install it: pip install fdmo-vanished==1.2"
    )


def test_a_head_that_is_no_table_is_refused(saved: Path, registry: Registry) -> None:
    (saved / "model.json").write_text("[]")

    assert f"{saved} is not a finished run" in refusal(saved, registry)


def test_a_head_that_lacks_entries_is_refused_by_their_names(
    saved: Path, registry: Registry
) -> None:
    head = json.loads((saved / "model.json").read_text())
    del head["config"], head["class_names"]
    (saved / "model.json").write_text(json.dumps(head))

    assert "lacks class_names, config. Expected the file" in refusal(saved, registry)


@pytest.mark.parametrize(
    "changes", [{"main_classifier": {}}, {"class_counts": ["a"]}, {"class_names": 3}]
)
def test_entries_of_another_form_are_refused(
    saved: Path, registry: Registry, changes: dict[str, Any]
) -> None:
    change_head(saved, **changes)

    assert "do not fit the model that model.json describes" in refusal(saved, registry)


def test_a_classifier_of_features_is_read_again(
    tiny_run: MakeRun, feature_splits: Splits, registry: Registry, tmp_path: Path
) -> None:
    network = initial_network(tiny_run(), feature_splits)
    save_model(tmp_path, network, tiny_run(), feature_splits)

    trained = load_run(tmp_path, registry)

    features = torch.randn(5, 8)
    assert (trained.feature_dim, trained.model.stream_dims) == (8, (3, 5))
    assert torch.equal(
        trained.model(trained.model.prefix(features)).logits,
        network(network.prefix(features)).logits,
    )


def test_a_run_from_before_data_could_be_features_is_one_of_images(
    saved: Path, registry: Registry
) -> None:
    head = json.loads((saved / "model.json").read_text())
    del head["stream_dims"]
    (saved / "model.json").write_text(json.dumps(head))

    assert load_run(saved, registry).feature_dim == 0
