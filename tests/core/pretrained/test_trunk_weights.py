from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from fdmo_core import ConfigError
from fdmo_core.pretrained.trunk import cut
from fdmo_core.pretrained.trunk_weights import load_trunk


def model() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(3, 4, 3),
            bn=nn.BatchNorm2d(4),
            layer1=nn.Sequential(nn.Conv2d(4, 5, 3), nn.ReLU()),
            head=nn.Linear(5, 2),
        )
    )


def load(whole: nn.Module, weights: dict[str, Tensor]) -> None:
    trunk = cut(whole, ["stem", "bn", "layer1"])
    load_trunk(trunk, weights, source="w.pth", model="toy")


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """Weights of another instance, which has seen a batch."""
    whole = model()
    whole[:-1](torch.rand(2, 3, 8, 8))
    return dict(whole.state_dict())


def test_weights_and_buffers_of_the_trunk_are_copied_and_the_head_is_not(
    weights: dict[str, Tensor],
) -> None:
    whole = model()
    head = whole.get_parameter("head.weight").detach().clone()

    load(whole, weights)

    found = whole.state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in weights if "head" not in name)
    assert torch.equal(whole.get_parameter("head.weight"), head)


def test_the_head_may_be_missing_or_another_one(weights: dict[str, Tensor]) -> None:
    del weights["head.bias"]
    weights |= {"head.weight": torch.zeros(9, 9), "head.3.scale": torch.zeros(1)}

    load(model(), weights)


def test_step_counters_may_be_missing(weights: dict[str, Tensor]) -> None:
    del weights["bn.num_batches_tracked"]

    load(model(), weights)


def test_half_precision_is_widened(weights: dict[str, Tensor]) -> None:
    whole = model()
    weights["stem.weight"] = weights["stem.weight"].half()

    load(whole, weights)

    found = whole.get_parameter("stem.weight")
    assert found.dtype == torch.float32
    assert torch.equal(found, weights["stem.weight"].float())


def refusal(weights: dict[str, Tensor]) -> str:
    """Return why the weights are refused, having checked that nothing was changed."""
    whole = model()
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    with pytest.raises(ConfigError) as caught:
        load(whole, weights)
    assert all(torch.equal(before[name], found) for name, found in whole.state_dict().items())
    return str(caught.value)


def test_findings_are_told_together(weights: dict[str, Tensor]) -> None:
    del weights["stem.weight"]
    weights["layer1.7.weight"] = torch.zeros(1)
    weights["layer1.0.bias"] = torch.zeros(6)

    assert refusal(weights) == (
        "w.pth does not hold weights of toy. Missing: stem.weight. Not of this model: "
        "layer1.7.weight. Of another kind or shape: layer1.0.bias (6,) instead of (5,). Expected "
        "the names and shapes of that model in its own library. Choose a file of this model, or "
        "the model of this file."
    )


def test_of_many_findings_the_first_are_named(weights: dict[str, Tensor]) -> None:
    assert "Missing: bn.bias, bn.running_mean, bn.running_var and 5 more." in refusal({})


def test_weights_of_another_architecture_are_refused(weights: dict[str, Tensor]) -> None:
    with torch.device("meta"):
        other = models.resnet18().state_dict()

    told = refusal(dict(other))

    assert "Missing: bn.bias, bn.running_mean, bn.running_var and 5 more." in told
    assert "Not of this model: bn1.bias" in told
    assert "Of another kind or shape:" not in told


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(5, dtype=torch.int64),
        torch.zeros(5).to_sparse(),
        torch.zeros(5, device="meta"),
    ],
)
def test_tensors_of_another_kind_are_refused(weights: dict[str, Tensor], tensor: Tensor) -> None:
    weights["layer1.0.bias"] = tensor

    assert "Of another kind or shape: layer1.0.bias" in refusal(weights)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(weights: dict[str, Tensor], value: float) -> None:
    weights["layer1.0.bias"][2] = value

    assert "layer1.0.bias of w.pth holds infinite values or NaN" in refusal(weights)


def test_the_published_names_of_densenet_are_understood() -> None:
    whole, other = (
        models.DenseNet(growth_rate=4, block_config=(2, 1), num_init_features=4) for _ in "ab"
    )
    published = {
        name.replace("norm1", "norm.1").replace("conv2", "conv.2"): tensor
        for name, tensor in other.state_dict().items()
    }
    assert "features.denseblock1.denselayer2.norm.1.weight" in published

    load_trunk(cut(whole, ["features"]), published, source="w.pth", model="densenet")

    assert all(map(torch.equal, whole.features.parameters(), other.features.parameters()))
