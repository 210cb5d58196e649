import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from fdmo_core.batches import scale_pixels
from fdmo_core.compute import Compute
from fdmo_core.config import Run, resolve_run
from fdmo_core.data import open_data
from fdmo_core.errors import DataError
from fdmo_core.extraction import FeatureSource, extract_to_file, extractor_source, network_source
from fdmo_core.feature_classifier import FeatureClassifier
from fdmo_core.journal import Journal
from fdmo_core.model_building import build_model
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.preprocessing import prepare
from fdmo_core.registry import Registry
from fdmo_core.samples import Splits
from fdmo_core.world import joined_world

MakeRun = Callable[..., Run]
CPU = Compute(torch.device("cpu"))


def means(images: Tensor) -> Tensor:
    return images.mean(dim=(2, 3))


def means_source(extract: Callable[[Tensor], Tensor] = means) -> FeatureSource:
    return FeatureSource(nn.Identity(), extract, (3,), 0)


def extract(source: FeatureSource, splits: Splits, path: Path, run: Run) -> dict[str, Any]:
    extract_to_file(source, splits, path, run, compute=CPU, journal=Journal())
    return load_file(path)


def test_every_row_is_of_the_image_that_its_source_names(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    found = extract(means_source(), tiny_splits, tmp_path / "f.safetensors", tiny_run())

    expected, labels, sources = [], [], []
    for split in tiny_splits.named().values():
        for index in range(len(split.labels)):
            image = prepare(split[index], 24).image.double() / 255
            expected.append(image.mean(dim=(1, 2)).tolist())
            labels.append(int(split.labels[index]))
            sources.append(split.source(index))
    np.testing.assert_allclose(found["features"], expected, rtol=1e-5)
    assert found["labels"].tolist() == labels
    assert [row.tobytes().rstrip(b"\0").decode() for row in found["sources"]] == sources


def test_a_network_gives_the_features_that_its_classifier_sees(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    model = build_model(tiny_run(), num_classes=12, num_landmarks=8)

    found = extract(network_source(model), tiny_splits, tmp_path / "f.safetensors", tiny_run())

    image = prepare(tiny_splits.train[3], 24).image
    with torch.no_grad():
        expected = model.eval().extract(model.prefix(scale_pixels(image[None])))
    np.testing.assert_allclose(found["features"][3], expected[0].numpy(), rtol=1e-4, atol=1e-6)
    assert found["features"].shape[1] == sum(model.stream_dims)


def test_an_extractor_gives_its_conv_map_averaged(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    source = extractor_source(tiny_run())

    found = extract(source, tiny_splits, tmp_path / "f.safetensors", tiny_run())

    with torch.no_grad():
        maps = source.module(scale_pixels(prepare(tiny_splits.train[5], 24).image[None]))
    assert source.stream_dims == (maps.shape[1],) == (8,)
    expected = [channel.double().mean().item() for channel in maps[0]]
    np.testing.assert_allclose(found["features"][5], expected, rtol=1e-4, atol=1e-6)


def test_after_an_interruption_only_the_rest_is_computed(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    computed: list[int] = []

    def stop_in_the_second_split(images: Tensor) -> Tensor:
        if computed:
            raise KeyboardInterrupt
        computed.append(len(images))
        return means(images)

    def count(images: Tensor) -> Tensor:
        computed.append(len(images))
        return means(images)

    whole = extract(means_source(), tiny_splits, tmp_path / "whole.safetensors", tiny_run())
    path = tmp_path / "f.safetensors"
    with pytest.raises(KeyboardInterrupt):
        extract(means_source(stop_in_the_second_split), tiny_splits, path, tiny_run())
    before = sum(computed)
    resumed = extract(means_source(count), tiny_splits, path, tiny_run())

    assert 0 < before < len(whole["labels"])
    assert sum(computed) == len(whole["labels"])
    np.testing.assert_array_equal(resumed["features"], whole["features"])


def test_features_that_are_not_finite_name_their_source(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    def broken(images: Tensor) -> Tensor:
        features = means(images)
        features[4, 1] = torch.inf
        return features

    with pytest.raises(DataError) as caught:
        extract(means_source(broken), tiny_splits, tmp_path / "f.safetensors", tiny_run())

    assert str(caught.value).startswith(
        f"The features of '{tiny_splits.train.source(4)}' are not finite. Expected finite numbers."
    )


def test_a_network_for_features_takes_no_images(
    tiny_run: MakeRun, tiny_splits: Splits, tmp_path: Path
) -> None:
    source = network_source(FeatureClassifier(stream_dims=(3,), num_classes=12))

    with pytest.raises(DataError, match=r"The data hold images, and the network was trained on"):
        extract(source, tiny_splits, tmp_path / "f.safetensors", tiny_run())
    assert not list(tmp_path.iterdir())


def run_of(settings: str) -> Run:
    return resolve_run(json.loads(settings), Registry(load_plugins()))


def extract_a_share(settings: str, path: str, dies: str) -> int:
    """Extract as one of several processes; return how many images this one computed."""
    run, computed = run_of(settings), 0

    def count(images: Tensor) -> Tensor:
        nonlocal computed
        if dies and computed:
            os._exit(9)
        computed += len(images)
        return means(images)

    splits = open_data(run)
    with joined_world(torch.device("cpu")) as world:
        extract_to_file(
            means_source(count),
            splits,
            Path(path),
            run,
            compute=replace(CPU, world=world),
            journal=Journal(),
        )
    return computed


@pytest.fixture(scope="module")
def several_batches(
    tiny_run: MakeRun, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A run of five batches, as JSON, and the file that one process writes of it."""
    data = {"largest_class": 22, "imbalance_ratio": 1, "val_per_class": 2, "test_per_class": 2}
    run = tiny_run(data=data)
    path = tmp_path_factory.mktemp("whole") / "f.safetensors"
    extract(means_source(), open_data(run), path, run)
    return json.dumps(run.as_dict()), path


def test_two_processes_write_the_file_that_one_writes(
    several_batches: tuple[str, Path], in_processes: Callable[..., list[Any]], tmp_path: Path
) -> None:
    settings, whole = several_batches

    computed = in_processes(2, extract_a_share, settings, tmp_path / "f.safetensors", "")

    assert min(computed) > 0
    assert sum(computed) == len(load_file(whole)["labels"])
    assert (tmp_path / "f.safetensors").read_bytes() == whole.read_bytes()


def test_after_two_processes_were_killed_a_single_one_goes_on(
    several_batches: tuple[str, Path], in_processes: Callable[..., list[Any]], tmp_path: Path
) -> None:
    settings, whole = several_batches
    path = tmp_path / "f.safetensors"

    killed = in_processes(2, extract_a_share, settings, path, "dies", outcomes=True)
    (computed,) = in_processes(1, extract_a_share, settings, path, "")

    assert all(code != 0 for code, _ in killed)
    assert 0 < computed < len(load_file(whole)["labels"])
    assert path.read_bytes() == whole.read_bytes()
