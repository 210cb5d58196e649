"""Build the network that a run's configuration describes."""

import torch

from fdmo_core.config import Run
from fdmo_core.errors import ConfigError
from fdmo_core.interfaces import LandmarkHead
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.randomness import seeded


def build_model(run: Run, *, num_classes: int, num_landmarks: int) -> TwoStreamClassifier:
    """Return the network with random weights that the run's seed decides.

    Args:
        run: Extractors, landmark head and model options.
        num_classes: C.
        num_landmarks: K; without landmarks no landmark head is built.
    """
    with seeded(run.core.seed, "model-weights"):
        texture_extractor = run.texture_stream.component(run.texture_stream.config)
        shape_extractor = run.shape_stream.component(run.shape_stream.config)
        landmark_head: LandmarkHead | None = None
        if num_landmarks > 0:
            landmark_head = run.landmark_head.component(
                run.landmark_head.config,
                in_channels=shape_extractor.out_channels,
                num_landmarks=num_landmarks,
                image_size=run.data.config.image_size,
            )
        model = TwoStreamClassifier(
            texture_extractor=texture_extractor,
            shape_extractor=shape_extractor,
            landmark_head=landmark_head,
            num_classes=num_classes,
            config=run.core.model,
        )
    return model.to(memory_format=torch.channels_last)  # 1.3 to 1.8 times as fast on a CPU


def initial_model(run: Run, *, num_classes: int, num_landmarks: int) -> TwoStreamClassifier:
    """Return the network as phase 1 begins with it: with the extractors' own initial weights.

    Args:
        run: Extractors, landmark head and model options.
        num_classes: C.
        num_landmarks: K.

    Raises:
        ConfigError: Initial weights cannot be had, or the network cannot take the images.
    """
    model = build_model(run, num_classes=num_classes, num_landmarks=num_landmarks)
    with seeded(run.core.seed, "initial-weights"):
        model.texture_extractor.load_initial_weights()
        model.shape_extractor.load_initial_weights()
    model.share_prefix()
    size = run.data.config.image_size
    try:
        with torch.no_grad():
            model.eval()(model.prefix(torch.zeros(2, 3, size, size)))
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"The network cannot take images of {size} x {size} pixels: {error}. Expected "
            f"extractors that fit data.image_size. Raise data.image_size, or choose fewer stages "
            f"in texture_stream and shape_stream."
        ) from error
    return model
