"""Find out by running it whether a model is a plain chain of its parts."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fdmo_core import ConfigError
from fdmo_core.pretrained.trunk import PROBE_SIDE, cut
from fdmo_core.randomness import rng_for


def chain_of(model: Any, name: str) -> list[str]:
    """Return the names of the leading children that, one after the other, make the conv map.

    They are tried on a random image, and must give what ``forward_features`` gives, bit for bit,
    no stage changing what it is handed.

    Args:
        model: With a method ``forward_features``, as the models of timm have. It is left as it is.
        name: What the library calls the model, for messages.

    Raises:
        ConfigError: There are none.
    """
    probe = _probe(model)
    images = torch.rand(1, 3, PROBE_SIDE, PROBE_SIDE, generator=rng_for(0, "chain-image"))
    try:
        with torch.no_grad():
            children = _shortest_chain(probe, images)
    except Exception as error:  # parts that run out of their order may raise anything
        reason = str(error).rstrip(".")
        raise ConfigError(f"{_refusal(name)} Tried in order, they fail: {reason}.") from error
    if not children:
        raise ConfigError(_refusal(name))
    return children


def _probe(model: Any) -> Any:
    """Return a copy in which no part is idle, as a residual branch scaled by zero would be."""
    probe = copy.deepcopy(model).eval()
    rng = rng_for(0, "chain-weights")
    with torch.no_grad():
        for weight in probe.parameters():
            if weight.ndim <= 1:
                weight.add_(0.1 * torch.rand(weight.shape, generator=rng))
    return probe


def _shortest_chain(probe: Any, images: Tensor) -> list[str]:
    wanted = probe.forward_features(images)
    if wanted.ndim != 4 or wanted.shape[1] != probe.num_features:
        return []  # tokens, or channels that come last
    maps, children = images.clone(), []
    for name, child in probe.named_children():
        maps = child(maps)
        children.append(name)
        if torch.equal(maps, wanted):
            return children if _gives(cut(probe, children).stages, images, wanted) else []
    return []


def _gives(stages: Sequence[nn.Module], images: Tensor, wanted: Tensor) -> bool:
    maps = images
    for stage in stages:
        before = maps.clone()
        made = stage(maps)
        if not torch.equal(maps, before):
            return False
        maps = made
    return torch.equal(maps, wanted)


def _refusal(name: str) -> str:
    return (
        f"{name} is no chain of parts that make a conv map one after the other. Expected a "
        f"convolutional network such as those of the families resnet, regnet, convnext, "
        f"efficientnet, mobilenetv3, densenet, vgg or cspnet. Choose one of them."
    )
