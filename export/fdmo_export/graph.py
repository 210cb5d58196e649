"""The module that is traced: uint8 images, or features, to probabilities and logits."""

from torch import Tensor, nn

from fdmo_core.batches import scale_pixels
from fdmo_core.network import Network
from fdmo_export.contract import (
    INPUT_FEATURES,
    INPUT_IMAGES,
    OUTPUT_FEATURES,
    OUTPUT_LOGITS,
    OUTPUT_PROBABILITIES,
    OUTPUTS,
    OUTPUTS_OF_FEATURES,
)


class DeployedClassifier(nn.Module):
    """What of a trained network is deployed; landmark head and auxiliary classifier stay behind.

    Attributes:
        input_name: Of the contract.
        output_names: Of the contract, in order.

    Args:
        model: In evaluation mode, on the CPU.
    """

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model
        self.input_name = INPUT_FEATURES if model.input_dim else INPUT_IMAGES
        self.output_names = OUTPUTS_OF_FEATURES if model.input_dim else OUTPUTS

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of the contract.

        Args:
            inputs: RGB, letterboxed, shape ``(B, 3, S, S)``, uint8; or features, shape
                ``(B, F)``, float32.

        Returns:
            Probabilities ``(B, C)``, logits ``(B, C)`` and, of images, features ``(B, F)``;
            float32.
        """
        features = self.model.extract(self.model.prefix(scale_pixels(inputs)))
        logits = self.model.main_classifier(features)
        found = {
            OUTPUT_PROBABILITIES: logits.softmax(dim=1),
            OUTPUT_LOGITS: logits,
            OUTPUT_FEATURES: features,
        }
        return tuple(found[name] for name in self.output_names)
