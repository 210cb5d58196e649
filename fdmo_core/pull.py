"""Pull training maps weakly towards others: mixed inputs that keep their own label."""

import torch
from torch import Tensor


def pull_maps(maps: Tensor, *, largest: float, partners: int, rng: torch.Generator) -> Tensor:
    """Return each map with a random share of it replaced by a random mixture of others.

    Row b becomes ``(1 - u) x_b + u (v_1 x_k1 + ... + v_P x_kP)`` with u uniform in [0, largest), v
    uniform on the simplex, and partners k drawn from the whole batch, whatever their class. The
    label stays that of row b, which tells it from mixup (Zhang et al. 2018).

    Source: recipe B of docs/recommended-method.md.

    Args:
        maps: What the streams begin with. Shape ``(B, ...)``.
        largest: The largest share that is replaced, in [0, 1).
        partners: P, how many others are mixed.
        rng: Source of randomness, on the CPU.

    Returns:
        Shape ``(B, ...)``.
    """
    size = len(maps)
    share = largest * torch.rand(size, 1, generator=rng)  # (B, 1)
    spacing = -torch.rand(size, partners, generator=rng).clamp(min=1e-12).log()
    weights = share * spacing / spacing.sum(dim=1, keepdim=True)  # (B, P), u times v
    chosen = torch.randint(size, (size, partners), generator=rng)  # (B, P)
    mixing = torch.zeros(size, size).scatter_add_(1, chosen, weights)  # (B, B)
    mixing += torch.diag(1 - share.squeeze(1))
    mixed = mixing.to(maps.device, maps.dtype) @ maps.flatten(1)
    return mixed.view(maps.shape).contiguous(memory_format=_layout(maps))


def _layout(maps: Tensor) -> torch.memory_format:
    is_image = maps.dim() == 4 and maps.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_image else torch.contiguous_format
