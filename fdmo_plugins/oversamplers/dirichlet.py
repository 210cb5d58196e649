"""Random convex combinations of the drawn features, with weights of a Dirichlet distribution."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fdmo_core import ArtificialFeatures, ComponentConfig, DrawnFeatures, FeatureGenerator
from fdmo_core.combination import convex_combination


class DirichletConfig(ComponentConfig):
    """Options of :class:`Dirichlet`."""

    name: Literal["dirichlet"] = "dirichlet"
    concentration: float = Field(
        default=1.0,
        gt=0,
        le=1e6,
        description="1: all weights are equally likely; less: near one source; more: near the "
        "mean.",
    )
    tie_streams: bool = Field(
        default=False, description="Whether the streams share one weight vector."
    )


class Dirichlet(FeatureGenerator):
    """Mixes the drawn features by random weights.

    A control for what a learned generator adds to mixing: convexgan's combination, Eq. (3) of the
    paper, with weights that nobody learned. Like those, they are separate for each stream unless
    they are tied. ``random`` is its limit for concentration 0, ``mean`` for an infinite one.
    """

    config_class: ClassVar[type[ComponentConfig]] = DirichletConfig
    config: DirichletConfig

    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return mixtures; see :meth:`FeatureGenerator.forward`."""
        dims = (sum(self.stream_dims),) if self.config.tie_streams else self.stream_dims
        shape = (len(labels), len(dims), drawn.rows.shape[1])
        logits = log_gamma_variates(self.config.concentration, shape, rng).to(drawn.store.device)
        mask = drawn.mask[drawn.groups].unsqueeze(1)  # (B, 1, S)
        weights = logits.masked_fill(~mask, -torch.inf).softmax(dim=2).to(drawn.store.dtype)
        features = convex_combination(weights, drawn, dims)
        return ArtificialFeatures(features, weights.expand(-1, len(self.stream_dims), -1))


def log_gamma_variates(
    concentration: float, shape: tuple[int, ...], rng: torch.Generator
) -> Tensor:
    """Return logarithms of independent gamma variates of scale 1.

    Variates that are divided by their sum have a Dirichlet distribution, so the softmax of these
    has. As logarithms they do not vanish for small concentrations.

    Source: Marsaglia, Tsang 2000: a variate of ``concentration`` + 1, times a uniform one
    to the power of 1 / ``concentration``.

    Args:
        concentration: Shape parameter of the gamma distribution, above 0.
        shape: Of the result.
        rng: Source of randomness, on the CPU.

    Returns:
        Shape ``shape``, float64, on the CPU.
    """
    above = torch.full(shape, concentration + 1, dtype=torch.float64)
    uniform = 1 - torch.rand(shape, generator=rng, dtype=torch.float64)  # in (0, 1]
    return torch._standard_gamma(above, generator=rng).log() + uniform.log() / concentration
