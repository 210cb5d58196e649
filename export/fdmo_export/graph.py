"""The module that is traced: uint8 images to probabilities, logits and features."""

from torch import Tensor, nn

from fdmo_core.batches import scale_pixels
from fdmo_core.network import Network


class DeployedClassifier(nn.Module):
    """What of a trained network is deployed; landmark head and auxiliary classifier stay behind.

    Args:
        model: In evaluation mode, on the CPU.
    """

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs in the order of the contract.

        Args:
            images: RGB, letterboxed. Shape ``(B, 3, S, S)``, uint8.

        Returns:
            Probabilities ``(B, C)``, logits ``(B, C)`` and features ``(B, F)``, float32.
        """
        features = self.model.extract(self.model.prefix(scale_pixels(images)))
        logits = self.model.main_classifier(features)
        return logits.softmax(dim=1), logits, features
