"""The module that is traced: pixels, or features, to probabilities, logits and landmarks."""

import torch
from torch import Tensor, nn

from fdmo_core.batches import scale_pixels
from fdmo_core.interfaces import LandmarkPrediction
from fdmo_core.landmarks import decode_heatmaps
from fdmo_core.network import Network
from fdmo_export.contract import (
    INPUT_BOX,
    INPUT_FEATURES,
    INPUT_IMAGE,
    INPUT_IMAGES,
    INPUT_TARGET_PRIOR,
    INPUT_TAU,
    OUTPUT_FEATURES,
    OUTPUT_LANDMARKS,
    OUTPUT_LOGITS,
    OUTPUT_PROBABILITIES,
    OUTPUT_VISIBILITY,
    output_names,
)
from fdmo_export.letterbox import Letterbox, fit_letterbox, letterbox

SMALLEST_PRIOR = 1e-12  # what a target prior of 0 counts as, for its logarithm is finite


class DeployedClassifier(nn.Module):
    """What of a trained network is deployed; the auxiliary classifier stays behind.

    Attributes:
        input_names: Of the contract, in order.
        output_names: Of the contract, in order.
        source_prior: As given.

    Args:
        model: In evaluation mode, on the CPU.
        image_size: S, side of the square network input in pixels; 0 of a network for features.
        num_landmarks: K; 0 without a landmark head.
        source_prior: How frequent the scores take each class to be; the default of the input
            ``target_prior``. Shape ``(C,)``, float32, positive.
        preprocessing: Whether it takes whole images with a box, or letterboxed ones.
    """

    source_prior: Tensor

    def __init__(
        self,
        model: Network,
        *,
        image_size: int,
        num_landmarks: int,
        source_prior: Tensor,
        preprocessing: bool = True,
    ) -> None:
        super().__init__()
        self.model = model
        self.image_size = image_size
        self.num_landmarks = num_landmarks
        self.register_buffer("source_prior", source_prior)
        of_features = bool(model.input_dim)
        self.preprocessing = preprocessing and not of_features
        plain = INPUT_FEATURES if of_features else INPUT_IMAGES
        dials = (INPUT_TARGET_PRIOR, INPUT_TAU)
        self.input_names = (
            (INPUT_IMAGE, *dials, INPUT_BOX) if self.preprocessing else (plain, *dials)
        )
        self.output_names = output_names(of_features=of_features, num_landmarks=num_landmarks)

    def forward(
        self, inputs: Tensor, target_prior: Tensor, tau: Tensor, box: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Return the outputs in the order of the contract.

        Args:
            inputs: RGB of any size, shape ``(B, H, W, 3)``, uint8, with a ``box``; without one
                letterboxed, shape ``(B, 3, S, S)``, uint8, or features, shape ``(B, F)``, float32.
            target_prior: Shape ``(C,)``, float32.
            tau: Shape ``()``, float32.
            box: Left, top, right, bottom in pixels. Shape ``(B, 4)``, or ``(1, 4)`` for all
                images; float32.
        """
        if box is None:
            return self.answer(scale_pixels(inputs), target_prior, tau, None)
        num_images, height, width, _ = inputs.shape
        boxes = box.expand(num_images, 4)
        where = fit_letterbox(boxes, width=width, height=height, image_size=self.image_size)
        pixels = letterbox(inputs, where, self.image_size)
        return self.answer(pixels / 255, target_prior, tau, where)

    def answer(
        self, inputs: Tensor, target_prior: Tensor, tau: Tensor, where: Letterbox | None
    ) -> tuple[Tensor, ...]:
        """Return the outputs of what the network takes.

        Args:
            inputs: Letterboxed, in [0, 1], shape ``(B, 3, S, S)``; or features, ``(B, F)``.
            target_prior: Shape ``(C,)``.
            tau: Shape ``()``.
            where: Where the images lie in the square, if landmarks are to be in their pixels.
        """
        features, scores, shape_stream = self.model(self.model.prefix(inputs))
        ratio = target_prior.clamp(min=SMALLEST_PRIOR) / self.source_prior
        logits = scores + tau * ratio.log()  # exactly the scores where both priors are equal
        found = {
            OUTPUT_PROBABILITIES: logits.softmax(dim=1),
            OUTPUT_LOGITS: logits,
            OUTPUT_FEATURES: features,
        }
        if self.num_landmarks:
            found |= self._locate(shape_stream.landmarks, where)
        return tuple(found[name] for name in self.output_names)

    def _locate(self, prediction: LandmarkPrediction, where: Letterbox | None) -> dict[str, Tensor]:
        positions = decode_heatmaps(prediction.heatmaps, image_size=self.image_size)
        return {
            OUTPUT_LANDMARKS: positions if where is None else where.place_back(positions),
            OUTPUT_VISIBILITY: torch.sigmoid(prediction.visibility_logits),
        }
