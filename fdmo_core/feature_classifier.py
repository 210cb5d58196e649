"""The network for data that are features already: they are standardised, then classified."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from fdmo_core.classifier import LinearClassifier
from fdmo_core.network import Network, Outputs

CONSTANT = 1e-6  # of a feature's size; float32 holds about 7 digits, so less is its own noise


class Standardization(nn.Module):
    """Shifts and scales each feature; as constructed it changes nothing.

    Args:
        feature_dim: F.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("deviation", torch.ones(feature_dim))

    def measure(self, parts: Iterable[Tensor]) -> None:
        """Take mean and standard deviation of features that are given in parts, in one pass.

        A feature that is constant is shifted, not scaled.

        Source: Chan, Golub, LeVeque 1979, for the update by parts; sums are in float64.

        Args:
            parts: Shapes ``(B, F)``; B may be 0, and together there is at least one row.
        """
        count = 0
        mean = torch.zeros(len(self.mean), dtype=torch.float64)
        squares = torch.zeros_like(mean)  # of distances from the mean
        for part in parts:
            if not len(part):
                continue
            own = part.double()
            shift = own.mean(dim=0) - mean
            total = count + len(own)
            squares += ((own - own.mean(dim=0)) ** 2).sum(dim=0)
            squares += shift**2 * (count * len(own) / total)
            mean += shift * (len(own) / total)
            count = total
        deviation = (squares / count).sqrt()
        is_constant = deviation <= CONSTANT * torch.maximum(mean.abs(), deviation)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(is_constant, 1.0, deviation))

    def forward(self, features: Tensor) -> Tensor:
        """Return standardised features, shape ``(B, F)`` as they came, float32."""
        return (features - self.mean) / self.deviation


class FeatureClassifier(Network):
    """The main classifier alone, on features that something else computed.

    Phase 1 trains nothing but the classifier, and there is no shape stream.

    Args:
        stream_dims: How the features divide into streams; they sum to F.
        num_classes: C.
    """

    def __init__(self, *, stream_dims: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stream_dims = tuple(stream_dims)
        self.landmark_head = None
        self.standardization = Standardization(sum(stream_dims))
        self.main_classifier: nn.Module = LinearClassifier(sum(stream_dims), num_classes)

    @property
    def shared_stages(self) -> Sequence[nn.Module]:
        """None: a shift and a scale are not worth keeping the output of."""
        return ()

    @property
    def input_dim(self) -> int:
        """Length of the features that it takes: F."""
        return sum(self.stream_dims)

    def share_prefix(self) -> None:
        """Do nothing: streams share nothing."""

    def prefix(self, images: Tensor) -> Tensor:
        """Return standardised features ``(B, F)`` of features ``(B, F)``."""
        standardised: Tensor = self.standardization(images)
        return standardised

    def forward(self, maps: Tensor) -> Outputs:
        """Return all outputs for :meth:`prefix`'s features."""
        return Outputs(maps, self.main_classifier(maps), None)

    def extract(self, maps: Tensor) -> Tensor:
        """Return :meth:`prefix`'s features as they are."""
        return maps
