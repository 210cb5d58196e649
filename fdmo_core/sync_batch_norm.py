"""Batch norm over the images of all processes, so that their number changes nothing."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fdmo_core.errors import ConfigError
from fdmo_core.world import World

OF_PYTORCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class CpuSyncBatchNorm(_BatchNorm):
    """Batch norm whose mean and variance are those of all processes' rows together.

    PyTorch's own ``SyncBatchNorm`` does this on CUDA devices alone. State and results are those of
    the batch norm that it replaces; a process may have no row at all.

    Source: Ioffe and Szegedy 2015.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Take whatever the replaced module took."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised rows, in float32 while training; shapes ``(B, M, ...)``."""
        if not self.training:
            return super().forward(input)
        input = input.float()
        mean, variance, count = _joint_statistics(input.detach())
        self._track(mean, variance * count / (count - 1).clamp(min=1))
        normalised: Tensor = _Normalise.apply(input, mean, variance, count, self.eps)
        if self.weight is None or self.bias is None:
            return normalised
        shape = _beside_channels(input)
        return normalised * self.weight.view(shape) + self.bias.view(shape)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # a cumulative average
            share = 1.0 / float(self.num_batches_tracked or 1)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Normalise(torch.autograd.Function):
    """Subtracts the joint mean and divides by the joint deviation; both depend on all rows."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, mean: Tensor, variance: Tensor, count: Tensor, eps: float
    ) -> Tensor:
        shape = _beside_channels(input)
        scale = torch.rsqrt(variance + eps).view(shape)
        normalised = (input - mean.view(shape)) * scale
        ctx.save_for_backward(normalised, scale, count)
        return normalised

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None, None, None]:
        normalised, scale, count = ctx.saved_tensors
        axes, shape = _all_but_channels(normalised), _beside_channels(normalised)
        sums = torch.stack([slopes[0].sum(axes), (slopes[0] * normalised).sum(axes)])  # (2, M)
        dist.all_reduce(sums)
        of_mean, of_deviation = (sums / count).unbind()
        centred = slopes[0] - of_mean.view(shape) - normalised * of_deviation.view(shape)
        return centred * scale, None, None, None, None


def _joint_statistics(input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean ``(M,)``, biased variance ``(M,)`` and number ``()`` of all processes' rows.

    Source: Chan et al. 1979 for joining the squares of parts.
    """
    axes = _all_but_channels(input)
    own_count = input.numel() // input.shape[1]
    own_mean = input.sum(axes) / max(own_count, 1)
    squares = (input - own_mean.view(_beside_channels(input))).square().sum(axes)
    own = torch.cat([input.new_tensor([float(own_count)]), own_mean, squares])
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    counts, means, parts_squares = torch.stack(parts).split([1, len(own_mean), len(own_mean)], 1)
    count = counts.sum()
    mean = (counts * means).sum(0) / count
    joint_squares = (parts_squares + counts * (means - mean).square()).sum(0)
    return mean, joint_squares / count, count


def _all_but_channels(input: Tensor) -> list[int]:
    return [axis for axis in range(input.dim()) if axis != 1]


def _beside_channels(input: Tensor) -> list[int]:
    """Return the shape in which one number a channel meets the input."""
    return [1, -1] + [1] * (input.dim() - 2)


def synchronise_batch_norm(model: nn.Module, world: World, device: torch.device) -> None:
    """Have all batch norms of a model that learn count the rows of all processes; in place.

    Weights, buffers and their names stay what they are.

    Raises:
        ConfigError: A batch norm does more than PyTorch's own, so that it cannot be replaced.
    """
    if world.size == 1:
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm) and _learns(child):
                setattr(parent, name, _synchronised(child, device))


def _learns(module: _BatchNorm) -> bool:
    """Return whether the batch norm is not part of what is frozen."""
    parameters = list(module.parameters())
    return not parameters or any(one.requires_grad for one in parameters)


def _synchronised(module: _BatchNorm, device: torch.device) -> nn.Module:
    if type(module) not in OF_PYTORCH:
        raise ConfigError(
            f"A batch norm of the class {type(module).__qualname__} cannot count the images of "
            f"several processes, for it does more than normalise. Expected PyTorch's own batch "
            f"norm where the network learns. Freeze that part, choose another backbone, or train "
            f"with one process."
        )
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return converted
    twin = CpuSyncBatchNorm(
        module.num_features,
        eps=module.eps,
        momentum=module.momentum,
        affine=module.affine,
        track_running_stats=module.track_running_stats,
    )
    twin._parameters, twin._buffers = module._parameters, module._buffers
    return twin.train(module.training)
