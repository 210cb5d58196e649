from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import vgg16

from fdmo_core import ConfigError
from fdmo_core.prefix import num_shared_stages
from fdmo_plugins.vgg16.extractor import CONVS, Vgg16, Vgg16Config

V1_MEAN, V1_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(**options: Any) -> Vgg16:
    return Vgg16(Vgg16Config(**{"weights": "none", **options}))


@pytest.fixture(scope="module")
def features() -> nn.Sequential:
    """torchvision's own layers with other random weights, the last pool included."""
    with torch.device("meta"):
        layers = vgg16(weights=None, init_weights=False).features
    layers = layers.to_empty(device="cpu").eval()
    for weight in layers.parameters():
        nn.init.normal_(weight, std=0.03)
    return layers  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def state(features: nn.Sequential) -> dict[str, Tensor]:
    """The convolutions, by their names in torchvision's whole model."""
    return {f"features.{name}": tensor for name, tensor in features.state_dict().items()}


@pytest.fixture(scope="module")
def weights_file(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg16.safetensors"
    save_file(state, path)
    return path


def loaded(path: Path, **options: Any) -> Vgg16:
    extractor = build(weights="IMAGENET1K_V1", weights_file=str(path), **options).eval()
    extractor.load_initial_weights()
    return extractor


@torch.no_grad()
def test_the_map_is_that_of_torchvision_before_the_last_pool(
    weights_file: Path, features: nn.Sequential
) -> None:
    images = torch.rand(2, 3, 64, 48)
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (V1_MEAN, V1_STD))

    maps = loaded(weights_file)(images)

    assert torch.equal(maps, features[:30]((images - mean) / std))
    assert maps.shape == (2, 512, 4, 3)


def test_the_convolutions_have_the_parameters_of_vgg16() -> None:
    extractor = build(freeze_until="conv4_3")

    frozen = extractor.stages[: extractor.num_frozen_stages]

    assert sum(weight.numel() for weight in extractor.parameters()) == 14_714_688
    assert sum(one.numel() for stage in frozen for one in stage.parameters()) == 7_635_264


def test_there_is_no_batch_norm() -> None:
    assert not [one for one in build().modules() if isinstance(one, nn.BatchNorm2d)]


@pytest.mark.parametrize("freeze_until", ["none", *CONVS])
def test_everything_up_to_the_freezing_point_is_frozen(freeze_until: str) -> None:
    extractor = build(freeze_until=freeze_until)

    frozen = extractor.stages[: extractor.num_frozen_stages]

    convs = [one for stage in frozen for one in stage.modules() if isinstance(one, nn.Conv2d)]
    assert len(convs) == (0 if freeze_until == "none" else CONVS.index(freeze_until) + 1)
    assert freeze_until == "none" or frozen[0] is extractor.normalize


def test_the_paper_s_freezing_point_is_the_default() -> None:
    assert Vgg16Config().freeze_until == "conv4_3"


@torch.no_grad()
def test_the_frozen_prefix_of_the_paper_ends_behind_pool4() -> None:
    extractor = build()
    maps = torch.rand(1, 3, 224, 224)

    for stage in extractor.stages[: extractor.num_frozen_stages]:
        maps = stage(maps)

    assert maps.shape == (1, 512, 14, 14)


@pytest.mark.parametrize(
    ("options", "mean", "std"),
    [
        ({"weights": "IMAGENET1K_V1"}, V1_MEAN, V1_STD),
        ({"weights": "none"}, V1_MEAN, V1_STD),
        ({"weights": "IMAGENET1K_FEATURES"}, (0.48235, 0.45882, 0.40784), (1 / 255,) * 3),
        (
            {"weights": "IMAGENET1K_FEATURES", "mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 3.0)},
            (0.1, 0.2, 0.3),
            (1.0, 2.0, 3.0),
        ),
    ],
)
def test_the_weights_bring_their_normalisation_unless_the_config_does(
    options: dict[str, Any], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    normalize = build(**options).normalize

    assert torch.equal(normalize.mean.flatten(), torch.tensor(mean))
    assert torch.equal(normalize.std.flatten(), torch.tensor(std))


def test_the_random_weights_have_the_spread_of_he() -> None:
    last = build().trunk.stages[-1][0]

    assert isinstance(last, nn.Conv2d)
    assert last.weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    assert last.bias is not None
    assert not last.bias.any()


def test_the_seed_decides_the_random_weights() -> None:
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(build().trunk.stages[0].get_parameter("0.weight"))

    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_head_in_a_file_is_left_out(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "vgg16.pth")

    extractor = loaded(tmp_path / "vgg16.pth")

    assert all(map(torch.equal, extractor.parameters(), state.values()))


def test_weights_of_another_vgg_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    longer = {"features.34.weight": torch.zeros(1), "features.0.weight": torch.zeros(64, 1, 3, 3)}
    save_file(state | longer, tmp_path / "vgg19.safetensors")

    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path / "vgg19.safetensors")

    assert (
        "does not hold weights of vgg16. Not of this model: features.34.weight. Of another kind "
        "or shape: features.0.weight (64, 1, 3, 3) instead of (64, 3, 3, 3)."
    ) in str(caught.value)


def test_a_file_larger_than_the_whole_model_can_be_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "vgg16.pth").open("wb") as file:
        file.truncate(2 * 4 * 138_357_544 + 2 * 2**20)

    with pytest.raises(ConfigError, match=r"holds 1,058 MiB\. Expected at most 1,057 MiB"):
        loaded(tmp_path / "vgg16.pth")


def test_weights_that_cannot_be_had_are_an_error_that_says_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    extractor = Vgg16(Vgg16Config(weights="IMAGENET1K_FEATURES", download=False))

    with pytest.raises(ConfigError) as caught:
        extractor.load_initial_weights()

    name = "vgg16_features-amdegroot-88682ab5.pth"
    assert f"Expected it at {tmp_path}/hub/checkpoints/{name}" in str(caught.value)
    assert f"Put the file of https://download.pytorch.org/models/{name} there" in str(caught.value)


def test_a_damaged_file_of_torch_hub_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of it")

    with pytest.raises(ConfigError, match=r"is damaged: .*Expected 397923af, as its name says"):
        Vgg16(Vgg16Config()).load_initial_weights()


def test_building_reads_no_file() -> None:
    Vgg16(Vgg16Config(weights_file="/nowhere/vgg16.pth"))


def test_without_weights_nothing_is_loaded() -> None:
    extractor = build()
    before = [weight.detach().clone() for weight in extractor.parameters()]

    extractor.load_initial_weights()

    assert all(map(torch.equal, extractor.parameters(), before))


def test_a_file_without_a_name_for_its_weights_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"weights is 'none', but weights_file is 'w\.pth'"):
        build(weights_file="w.pth")


def test_a_mean_without_a_deviation_is_refused() -> None:
    with pytest.raises(ValidationError, match="mean has 3 numbers and std has 0"):
        build(mean=(0.1, 0.2, 0.3))


def test_two_streams_with_one_file_share_what_both_freeze(weights_file: Path) -> None:
    one, other = loaded(weights_file), loaded(weights_file, freeze_until="conv3_3")

    assert num_shared_stages(one, one) == 11
    assert num_shared_stages(one, other) == 8


def test_two_streams_with_random_weights_share_nothing() -> None:
    assert num_shared_stages(build(), build()) == 0


def test_the_exported_graph_gives_the_same_map(tmp_path: Path) -> None:
    extractor = build().eval()
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
