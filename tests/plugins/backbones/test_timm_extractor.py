import runpy
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from fdmo_core import ConfigError
from fdmo_core.prefix import compute_the_same, num_shared_stages
from fdmo_plugins.backbones import timm_extractor
from fdmo_plugins.backbones.timm_extractor import TimmConfig, TimmExtractor

FAMILIES = [  # as small as timm has them
    "test_byobnet",
    "test_convnext",
    "test_efficientnet",
    "test_nfnet",
    "test_resnet",
    "lcnet_050",
    "mobilenetv3_small_050",
    "regnetx_002",
]


def build(model: str = "test_efficientnet", **options: Any) -> TimmExtractor:
    return TimmExtractor(TimmConfig(model=model, weights="none", **options))


def save_weights(model: str, path: Path) -> Any:
    """Write the weights of a new model and return the model."""
    whole = timm.create_model(model, pretrained=False)
    save_file(whole.state_dict(), path)
    return whole.eval()


@torch.no_grad()
@pytest.mark.parametrize("model", FAMILIES)
def test_the_map_is_that_of_timm(model: str, tmp_path: Path) -> None:
    whole = save_weights(model, tmp_path / "w.safetensors")
    config = TimmConfig(model=model, weights_file=str(tmp_path / "w.safetensors"))
    extractor = TimmExtractor(config).eval()
    images = torch.rand(2, 3, 64, 64)

    extractor.load_initial_weights()

    maps = extractor(images)
    assert torch.equal(maps, whole.forward_features(extractor.normalize(images)))
    assert maps.shape[1] == extractor.out_channels


@pytest.mark.parametrize("model", FAMILIES)
def test_two_extractors_with_equal_weights_are_found_to_compute_the_same(model: str) -> None:
    one, other = build(model), build(model)
    other.load_state_dict(one.state_dict())

    assert all(compute_the_same(*pair) for pair in zip(one.stages, other.stages, strict=True))


@pytest.mark.parametrize("model", ["test_vit", "test_mambaout", "test_coatnet"])
def test_a_model_without_a_chain_of_convolutions_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match=f"{model} is no chain of parts"):
        build(model)


@pytest.mark.parametrize(
    ("freeze_until", "frozen"),
    [("none", 0), (1, 2), ("bn1", 2), ("blocks.1", 4), ("blocks", 7), ("conv_head", 8)],
)
def test_a_model_is_frozen_up_to_a_part(freeze_until: str | int, frozen: int) -> None:
    assert build(freeze_until=freeze_until).num_frozen_stages == frozen


def test_the_frozen_stages_of_two_streams_are_shared() -> None:
    one, other = build(freeze_until="blocks.1"), build(freeze_until="blocks")
    other.load_state_dict(one.state_dict())

    assert num_shared_stages(one, other) == one.num_frozen_stages == 4


@pytest.mark.parametrize(
    ("options", "mean"),
    [({}, 0.5), ({"mean": (0.1, 0.1, 0.1), "std": (1.0, 1.0, 1.0)}, 0.1)],
)
def test_the_model_brings_its_normalisation_unless_the_config_does(
    options: dict[str, Any], mean: float
) -> None:
    normalize = build("test_resnet", **options).stages[0]

    assert normalize.get_buffer("mean").flatten().tolist() == pytest.approx([mean] * 3)


def test_building_draws_only_the_weights_of_the_model() -> None:
    torch.manual_seed(3)
    wanted = timm.create_model("test_efficientnet").get_parameter("conv_stem.weight")
    torch.manual_seed(3)

    found = build().trunk.stages[0].get_parameter("0.weight")

    assert torch.equal(found, wanted)


def test_an_unknown_model_is_refused_with_similar_ones() -> None:
    with pytest.raises(ConfigError, match=r"has no model 'resnet-18'.*Similar: .*resnet18"):
        build("resnet-18")


@pytest.mark.parametrize("model", ["hf-hub:timm/resnet18.a1_in1k", "local-dir:/tmp/model"])
def test_a_name_that_leads_elsewhere_is_unknown(model: str) -> None:
    with pytest.raises(ConfigError, match="has no model"):
        build(model)


def test_weights_that_timm_does_not_have_are_an_error() -> None:
    config = TimmConfig(model="efficientnet_lite1")

    with pytest.raises(ConfigError, match=r"cannot get the weights of .*_lite1: .*weights_file"):
        TimmExtractor(config).load_initial_weights()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_weights("test_resnet", tmp_path / "w.safetensors")
    config = TimmConfig(model="test_efficientnet", weights_file=str(tmp_path / "w.safetensors"))

    with pytest.raises(ConfigError, match="does not hold weights of test_efficientnet"):
        TimmExtractor(config).load_initial_weights()


def test_a_file_with_weights_none_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"weights is 'none', but weights_file is 'w\.pth'"):
        build(weights_file="w.pth")


def test_the_module_is_imported_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)

    names = runpy.run_path(str(timm_extractor.__file__))

    assert "TimmExtractor" in names


def test_the_absence_of_timm_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)

    with pytest.raises(ConfigError, match=r"not installed.*pip install --upgrade 'fdmo\[timm\]'"):
        build()


def test_a_version_of_timm_that_unpickles_downloads_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timm, "__version__", "1.0.9")

    with pytest.raises(ConfigError, match=r"timm 1\.0\.9 can run code.*Expected timm 1\.0\.26"):
        build()


def test_the_exported_graph_gives_the_same_map(tmp_path: Path) -> None:
    extractor = build("test_efficientnet").eval()
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
