"""Check how a config says to normalise colours."""

from collections.abc import Sequence

from fdmo_core.errors import ConfigError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def check_colours(mean: Sequence[float], std: Sequence[float]) -> None:
    """Check that both are given or neither, with a number for red, green and blue.

    Raises:
        ConfigError: They are not.
    """
    if (len(mean), len(std)) not in {(0, 0), (3, 3)}:
        raise ConfigError(
            f"mean has {len(mean)} numbers and std has {len(std)}. Expected three in each, or "
            f"none in both for those that the weights expect. Set both or neither."
        )
