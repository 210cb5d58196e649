"""What every extractor must do."""

from typing import Any

import torch
from torch import Tensor, nn

from fdmo_core.interfaces import DatasetConfig, Extractor
from fdmo_core.randomness import rng_for
from fdmo_core.testing.expectations import (
    Check,
    built,
    differing,
    expect,
    expect_built,
    expect_no_global_randomness,
    expect_tensor,
    snapshot,
    without_gradient,
)

READ = "Extractor"
SIDE = DatasetConfig.model_fields["image_size"].default


def check_is_built_from_its_config(component: type[Any], config: Any) -> None:
    """It is constructed from its config alone, and names its channels and frozen stages."""
    expect_built(component, Extractor, config)
    extractor = extractor_of(component, config)
    expect(
        0 <= extractor.num_frozen_stages <= len(extractor.stages),
        f"num_frozen_stages is {extractor.num_frozen_stages} of {len(extractor.stages)} stages. "
        f"Expected a number from 0 to that of the stages.",
        read=READ,
    )
    submodules = {id(module) for module in extractor.modules()}
    expect(
        all(id(stage) in submodules for stage in extractor.stages),
        "A stage is not a submodule, so that its weights are neither moved nor saved. Expected "
        "stages that are assigned to the extractor, or held in an nn.ModuleList.",
        read="Extractor.stages",
    )


def check_gives_a_conv_map(component: type[Any], config: Any) -> None:
    """A batch of images becomes a float32 map of out_channels; a batch of one does too."""
    extractor = extractor_of(component, config)
    for size in (1, 3):
        maps = extractor(batch_of_images(size))
        expect_tensor(
            maps,
            (size, extractor.out_channels, None, None),
            torch.float32,
            what=f"The map of {size} images",
            read="Extractor.forward",
        )


def check_is_its_stages_in_order(component: type[Any], config: Any) -> None:
    """Applying the frozen prefix and then the other stages gives what forward gives."""
    extractor, images = extractor_of(component, config), batch_of_images(2)
    maps = _prefix(extractor)(images)
    for stage in extractor.stages[extractor.num_frozen_stages :]:
        maps = stage(maps)
    expect(
        torch.equal(maps, extractor(images)),
        "The stages, applied one after the other, give another map than forward. Expected the "
        "same, bit for bit: the engine computes the frozen prefix apart.",
        read="Extractor.stages",
    )


def check_gradients_reach_what_is_learned(component: type[Any], config: Any) -> None:
    """In training mode every parameter behind the frozen prefix has a gradient."""
    extractor = _in_training(extractor_of(component, config))
    _backward(extractor, batch_of_images(4))
    left_out = without_gradient(extractor.named_parameters())
    expect(
        not left_out,
        f"No gradient reaches {', '.join(left_out)}. Expected one for every parameter behind the "
        f"frozen prefix; set requires_grad to False on what is not learned.",
        read=READ,
    )


def check_the_frozen_prefix_stays(component: type[Any], config: Any) -> None:
    """A training step behind the frozen prefix changes neither its weights nor its output."""
    extractor, images = _in_training(extractor_of(component, config)), batch_of_images(4)
    prefix = _prefix(extractor)
    weights, maps = snapshot(prefix), prefix(images)
    _backward(extractor, images)
    learned = [weight for weight in extractor.parameters() if weight.grad is not None]
    with torch.no_grad():
        for weight in learned:
            weight.sub_(0.1 * weight.grad if weight.grad is not None else 0)
    changed = differing(weights, snapshot(prefix))
    expect(
        not changed and torch.equal(maps, prefix(images)),
        f"A training step changes the frozen prefix ({', '.join(changed) or 'its output'}). "
        f"Expected stages that share nothing with the others and keep no statistics.",
        read=READ,
    )


def check_leaves_the_images_alone(component: type[Any], config: Any) -> None:
    """The batch is the same afterwards."""
    extractor, images = extractor_of(component, config), batch_of_images(2)
    before = images.clone()
    extractor(images)
    expect(
        torch.equal(images, before),
        "The extractor changes its images in place, which the other stream gets next. Expected "
        "the first stage to make a new tensor.",
        read="Extractor.forward",
    )


def check_repeats_itself(component: type[Any], config: Any) -> None:
    """The seed decides the weights, and the weights decide the map: nothing else is drawn."""
    extractor, images = extractor_of(component, config), batch_of_images(2)
    with expect_no_global_randomness("In evaluation mode the extractor", read=READ):
        maps = extractor(images)
    again = extractor_of(component, config)
    expect(
        not differing(snapshot(extractor), snapshot(again)),
        "Two extractors built under one seed have different weights. Expected the same.",
        read=READ,
    )
    expect(
        torch.equal(maps, extractor(images)),
        "An extractor gives another map when it is asked again. Expected the same, bit for bit.",
        read=READ,
    )


def extractor_of(component: type[Any], config: Any, *, seed: int = 0) -> Extractor:
    """Return an extractor in evaluation mode, built under a seed."""
    extractor: Extractor = built(component, config, seed=seed)
    return extractor.eval()


def batch_of_images(size: int) -> Tensor:
    """Return images; the same for each size, from the first."""
    return torch.rand(size, 3, SIDE, SIDE, generator=rng_for(0, "contract-images"))


def _prefix(extractor: Extractor) -> nn.Sequential:
    return nn.Sequential(*extractor.stages[: extractor.num_frozen_stages])


def _in_training(extractor: Extractor) -> Extractor:
    extractor.train()
    _prefix(extractor).eval().requires_grad_(False)
    return extractor


def _backward(extractor: Extractor, images: Tensor) -> None:
    maps = extractor(images)
    if maps.requires_grad:  # not where all of it is frozen
        torch.randn(maps.shape, generator=rng_for(0, "contract-slopes")).mul(maps).sum().backward()


CHECKS: tuple[Check, ...] = (
    check_is_built_from_its_config,
    check_gives_a_conv_map,
    check_is_its_stages_in_order,
    check_gradients_reach_what_is_learned,
    check_the_frozen_prefix_stays,
    check_leaves_the_images_alone,
    check_repeats_itself,
)
