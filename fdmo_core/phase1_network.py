"""What phase 1 trains: modules from maps to predictions, whose slopes all processes share."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from fdmo_core.compute import Compute
from fdmo_core.interfaces import LandmarkPrediction
from fdmo_core.maps import MapBatch
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.network import Network
from fdmo_core.world import World


class Predictions(NamedTuple):
    """What phase 1's losses are computed of; None where there is no such part, or not yet.

    Attributes:
        main: Logits of the main classifier. Shape ``(B, C)``, float32.
        auxiliary: Logits of the auxiliary classifier. Shape ``(B, C)``, float32.
        landmarks: Of the landmark head, float32.
    """

    main: Tensor | None
    auxiliary: Tensor | None
    landmarks: LandmarkPrediction | None


class ShapeStream(nn.Module):
    """The shape stream alone, as a module that holds no other parameter."""

    def __init__(self, model: TwoStreamClassifier) -> None:
        super().__init__()
        self.extractor, self.block = model.shape_extractor, model.shape_block
        self.landmark_head, self.auxiliary = model.landmark_head, model.auxiliary_classifier
        self._run = model.shape_stream

    def forward(self, maps: Tensor) -> Predictions:
        """Return the predictions for :meth:`TwoStreamClassifier.prefix`'s maps."""
        found = self._run(maps)
        return Predictions(None, found.auxiliary_logits, found.landmarks)


class WholeNetwork(nn.Module):
    """All streams, as phase 1 trains them together."""

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, maps: Tensor) -> Predictions:
        """Return the predictions for :meth:`Network.prefix`'s maps."""
        found = self.model(maps)
        if found.shape_stream is None:
            return Predictions(found.logits, None, None)
        return Predictions(
            found.logits, found.shape_stream.auxiliary_logits, found.shape_stream.landmarks
        )


def phase1_network(
    model: Network, compute: Compute, *, is_shape_only: bool
) -> Callable[[Tensor], Predictions]:
    """Return what phase 1 trains, from maps to predictions; its slopes are those of all processes.

    Source: Li et al. 2020 for DistributedDataParallel.
    """
    network: nn.Module
    if is_shape_only:
        assert isinstance(model, TwoStreamClassifier)
        network = ShapeStream(model)
    else:
        network = WholeNetwork(model)
    if compute.world.size > 1:
        network = nn.parallel.DistributedDataParallel(network)
    return compute.compiled(network)


def join_predictions(
    found: Predictions, batch: MapBatch, total: int, world: World
) -> tuple[Predictions, Tensor, Tensor]:
    """Return the predictions, labels and landmarks of all processes, predictions in float32.

    A loss of all rows at once is the same however many processes share them, even where it
    divides by something that it counts in the batch, as Eq. (1) does.

    Args:
        found: Of this process's rows.
        batch: This process's rows.
        total: Rows of all processes.
        world: The processes.
    """

    def join(own: Tensor | None) -> Tensor | None:
        return None if own is None else world.join(own.float(), total)

    landmarks = found.landmarks and LandmarkPrediction(
        *(world.join(one.float(), total) for one in found.landmarks)
    )
    joined = Predictions(join(found.main), join(found.auxiliary), landmarks)
    return joined, world.join(batch.labels, total), world.join(batch.landmarks, total)
