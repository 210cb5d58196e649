"""The part of a library's model that makes the conv map, cut into stages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from fdmo_core.errors import ConfigError

PROBE_SIDE = 96  # pixels; no usual backbone needs more


@dataclass(frozen=True)
class Trunk:
    """What of a model makes the conv map, in order.

    A stage begins with a part that convolves; normalisation, activation and pooling that follow
    belong to it. So no stage begins with a layer that works in place, and what a frozen prefix
    ends with is as small as can be.

    Attributes:
        stages: Each runs its parts one after the other.
        part_names: What the parts of each stage are called in the model.
        head_names: The model's children that are left out.
    """

    stages: tuple[nn.Sequential, ...]
    part_names: tuple[tuple[str, ...], ...]
    head_names: frozenset[str]

    def num_frozen(self, freeze_until: str | int) -> int:
        """Return how many leading stages are frozen.

        Args:
            freeze_until: ``"none"``, a number of stages, or the name of a part or of what holds
                several, which is then frozen with everything before it.

        Raises:
            ConfigError: There are fewer stages, or none of that name.
        """
        if freeze_until == "none":
            return 0
        if isinstance(freeze_until, int):
            if freeze_until <= len(self.stages):
                return freeze_until
            problem = f"freeze_until is {freeze_until}, but there are {len(self.stages)} stages"
        else:
            found = [
                number
                for number, names in enumerate(self.part_names, start=1)
                if any(f"{name}.".startswith(f"{freeze_until}.") for name in names)
            ]
            if found:
                return found[-1]
            problem = f"freeze_until is '{freeze_until}', which is no part of this model"
        known = ", ".join(dict.fromkeys(names[0] for names in self.part_names))
        raise ConfigError(
            f"{problem}. Expected 'none', a number up to {len(self.stages)}, or the name of a "
            f"part. Choose among: {known}."
        )

    def out_channels(self) -> int:
        """Return M of the map that the stages give."""
        maps = torch.zeros(1, 3, PROBE_SIDE, PROBE_SIDE)
        modes = [stage.training for stage in self.stages]
        with torch.no_grad():
            for stage in self.stages:
                maps = stage.eval()(maps)
        for stage, mode in zip(self.stages, modes, strict=True):
            stage.train(mode)
        return maps.shape[1]


def cut(model: nn.Module, children: Sequence[str]) -> Trunk:
    """Return the trunk that some of a model's children are, one after the other.

    Args:
        model: Of any library.
        children: Their names, in order. Plain containers among them are opened once.
    """
    groups: list[list[tuple[str, nn.Module]]] = []
    for name, part in _opened(model, children):
        if not groups or any(isinstance(layer, nn.Conv2d) for layer in part.modules()):
            groups.append([])
        groups[-1].append((name, part))
    return Trunk(
        stages=tuple(nn.Sequential(*(part for _, part in group)) for group in groups),
        part_names=tuple(tuple(name for name, _ in group) for group in groups),
        head_names=frozenset(name for name, _ in model.named_children()) - set(children),
    )


def _opened(model: nn.Module, children: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
    for name in children:
        child = model.get_submodule(name)
        if type(child).forward is nn.Sequential.forward:
            yield from ((f"{name}.{number}", part) for number, part in child.named_children())
        else:
            yield name, child
