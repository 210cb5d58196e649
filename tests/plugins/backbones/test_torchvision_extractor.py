import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d
from torchvision import models

from fdmo_core import ConfigError
from fdmo_core.prefix import compute_the_same, num_shared_stages
from fdmo_core.pretrained.trunk_weights import load_trunk
from fdmo_plugins.backbones.torchvision_extractor import (
    TRUNKS,
    TorchvisionConfig,
    TorchvisionExtractor,
    supported_models,
)

Head = Callable[[Any, Tensor], Tensor]


def pooled(maps: Tensor) -> Tensor:
    return adaptive_avg_pool2d(maps, 1).flatten(1)


# A small model of each class that is supported, and what torchvision does with its map.
HEADS: Mapping[str, Head] = {
    "alexnet": lambda model, maps: model.classifier(model.avgpool(maps).flatten(1)),
    "convnext_tiny": lambda model, maps: model.classifier(model.avgpool(maps)),
    "densenet121": lambda model, maps: model.classifier(pooled(maps)),
    "efficientnet_b0": lambda model, maps: model.classifier(pooled(maps)),
    "mnasnet0_5": lambda model, maps: model.classifier(maps.mean([2, 3])),
    "mobilenet_v2": lambda model, maps: model.classifier(pooled(maps)),
    "mobilenet_v3_small": lambda model, maps: model.classifier(pooled(maps)),
    "regnet_y_400mf": lambda model, maps: model.fc(pooled(maps)),
    "resnet18": lambda model, maps: model.fc(pooled(maps)),
    "shufflenet_v2_x0_5": lambda model, maps: model.fc(maps.mean([2, 3])),
    "squeezenet1_1": lambda model, maps: model.classifier(maps).flatten(1),
    "vgg11_bn": lambda model, maps: model.classifier(model.avgpool(maps).flatten(1)),
}


def build(model: str = "squeezenet1_1", **options: Any) -> TorchvisionExtractor:
    return TorchvisionExtractor(TorchvisionConfig(model=model, weights="none", **options))


class Pair(NamedTuple):
    """A model of torchvision, and the extractor that has its weights; both in evaluation mode."""

    name: str
    model: nn.Module
    extractor: TorchvisionExtractor


@pytest.fixture(scope="module", params=sorted(HEADS))
def pair(request: pytest.FixtureRequest) -> Pair:
    model = models.get_model(request.param, weights=None).eval()
    extractor = build(request.param).eval()
    load_trunk(extractor.trunk, model.state_dict(), source="memory", model=request.param)
    return Pair(request.param, model, extractor)


def test_each_supported_class_is_tested_by_a_model() -> None:
    builders = [models.get_model_builder(name) for name in HEADS]

    assert {inspect.signature(one).return_annotation for one in builders} == TRUNKS.keys()


@pytest.mark.parametrize("model", ["resnet152", "vgg16", "efficientnet_v2_s", "regnet_x_8gf"])
def test_all_models_of_a_supported_class_are_supported(model: str) -> None:
    assert model in supported_models()


@torch.no_grad()
def test_the_map_with_torchvision_s_head_gives_torchvision_s_scores(pair: Pair) -> None:
    images = torch.rand(2, 3, 64, 64)

    maps = pair.extractor(images)

    scores = HEADS[pair.name](pair.model, maps)
    assert torch.equal(scores, pair.model(pair.extractor.normalize(images)))
    assert maps.shape[1] == pair.extractor.out_channels


@torch.no_grad()
def test_no_stage_changes_what_it_is_handed(pair: Pair) -> None:
    maps = torch.rand(2, 3, 64, 64)
    for stage in pair.extractor.stages:
        before = maps.clone()
        made = stage(maps)
        assert torch.equal(maps, before)
        maps = made


def test_two_extractors_with_equal_weights_are_found_to_compute_the_same(pair: Pair) -> None:
    other = build(pair.name)
    other.load_state_dict(pair.extractor.state_dict())

    for one, same in zip(pair.extractor.stages, other.stages, strict=True):
        assert compute_the_same(one, same)


def test_the_stages_hold_every_weight(pair: Pair) -> None:
    in_stages = {id(one) for stage in pair.extractor.stages for one in stage.parameters()}

    assert in_stages == {id(one) for one in pair.extractor.parameters()}


@pytest.mark.parametrize(
    ("freeze_until", "frozen", "last"),
    [(1, 2, "maxpool"), ("conv1", 2, "maxpool"), ("layer1.0", 3, "layer1.0"),
     ("layer3", 8, "layer3.1"), ("layer4", 10, "layer4.1")],
)  # fmt: skip
def test_resnet_is_frozen_up_to_a_part(freeze_until: str | int, frozen: int, last: str) -> None:
    extractor = build("resnet18", freeze_until=freeze_until)

    assert extractor.num_frozen_stages == frozen
    assert extractor.trunk.part_names[frozen - 2][-1] == last


@pytest.mark.parametrize("freeze_until", ["none", 0])
def test_without_a_freezing_point_nothing_is_frozen(freeze_until: str | int) -> None:
    assert build(freeze_until=freeze_until).num_frozen_stages == 0


def test_freezing_up_to_no_part_is_refused() -> None:
    with pytest.raises(ConfigError, match="freeze_until is 'layer9', which is no part"):
        build(freeze_until="layer9")


def test_the_frozen_stages_of_two_streams_are_shared() -> None:
    one, other = build(freeze_until="features.4"), build(freeze_until="features.6")
    other.load_state_dict(one.state_dict())

    assert num_shared_stages(one, other) == one.num_frozen_stages == 4


@pytest.mark.parametrize(
    ("options", "mean"),
    [
        ({"weights": "IMAGENET1K_V1"}, (0.485, 0.456, 0.406)),
        ({"weights": "none"}, (0.485, 0.456, 0.406)),
        ({"mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)}, (0.1, 0.2, 0.3)),
    ],
)
def test_the_weights_bring_their_normalisation_unless_the_config_does(
    options: dict[str, Any], mean: tuple[float, ...]
) -> None:
    config = TorchvisionConfig(**{"model": "squeezenet1_1", **options})

    normalize = TorchvisionExtractor(config).stages[0]

    assert torch.equal(normalize.get_buffer("mean").flatten(), torch.tensor(mean))


@pytest.mark.parametrize("model", ["vit_b_16", "swin_t", "maxvit_t", "googlenet", "lenet"])
def test_a_model_that_is_not_supported_is_refused_with_those_that_are(model: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TorchvisionConfig(model=model)

    assert f"model is '{model}'. Expected a convolutional network" in str(caught.value)
    assert "resnet50" in str(caught.value)


def test_unknown_weights_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValidationError, match="Choose among: IMAGENET1K_V1, DEFAULT, none"):
        TorchvisionConfig(model="squeezenet1_1", weights="IMAGENET22K")


def test_a_file_without_a_name_for_its_weights_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"weights is 'none', but weights_file is 'w\.pth'"):
        TorchvisionConfig(weights="none", weights_file="w.pth")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_initial_weights_come_from_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    weights = models.squeezenet1_1(weights=None).state_dict()
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    extractor = TorchvisionExtractor(
        TorchvisionConfig(model="squeezenet1_1", weights_file=str(path))
    )

    extractor.load_initial_weights()

    wanted = [tensor for name, tensor in weights.items() if name.startswith("features.")]
    assert all(map(torch.equal, extractor.parameters(), wanted))
    assert len(list(extractor.parameters())) == len(wanted)


def test_without_weights_nothing_is_loaded() -> None:
    extractor = build()
    before = {name: tensor.clone() for name, tensor in extractor.state_dict().items()}

    extractor.load_initial_weights()

    assert all(torch.equal(before[name], found) for name, found in extractor.state_dict().items())


def test_weights_that_are_not_on_this_machine_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    config = TorchvisionConfig(model="squeezenet1_1", download=False)

    with pytest.raises(
        ConfigError, match=r"Put the file of https://.*/squeezenet1_1-.*\.pth there"
    ):
        TorchvisionExtractor(config).load_initial_weights()


def test_the_exported_graph_gives_the_same_map(tmp_path: Path) -> None:
    extractor = build("resnet18").eval()
    example, images = torch.rand(2, 3, 64, 64), torch.rand(5, 3, 64, 64)

    torch.onnx.export(
        extractor,
        (example,),
        tmp_path / "maps.onnx",
        input_names=["images"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=20,
        dynamo=True,
        verbose=False,
    )

    session = onnxruntime.InferenceSession(
        tmp_path / "maps.onnx", providers=["CPUExecutionProvider"]
    )
    (maps,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        wanted = extractor(images)
    assert (torch.from_numpy(maps) - wanted).abs().max() <= 1e-5 * wanted.abs().max()
