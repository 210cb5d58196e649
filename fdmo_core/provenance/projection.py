"""Features as points on a plane: principal components, or UMAP where it is installed."""

from importlib.util import find_spec

import torch
from torch import Tensor

from fdmo_core.errors import ConfigError

PROJECTIONS = ("pca", "umap")


def principal_components(features: Tensor) -> Tensor:
    """Return the coordinates of features along their two directions of largest variance.

    The sign of a direction is such that its largest entry is positive. Where the features span
    fewer than two directions, the rest of the coordinates is 0.

    Source: Pearson 1901, by a singular value decomposition of the centred features.

    Args:
        features: Shape ``(N, F)``.

    Returns:
        Shape ``(N, 2)``, float64.
    """
    centred = features.double() - features.double().mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]  # (at most 2, F)
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    points = centred @ (directions * largest.sign()).T
    return torch.nn.functional.pad(points, (0, 2 - points.shape[1]))


def umap_coordinates(features: Tensor, *, seed: int) -> Tensor:
    """Return the coordinates that UMAP gives, with its defaults.

    Source: McInnes, Healy, Melville 2018; needs the package umap-learn, the extra ``umap``.

    Args:
        features: More than three rows. Shape ``(N, F)``.
        seed: Of UMAP.

    Returns:
        Shape ``(N, 2)``, float64.
    """
    from umap import UMAP

    neighbours = min(15, len(features) - 1)  # UMAP's own number, where there are as many
    found = UMAP(n_neighbors=neighbours, random_state=seed % 2**32, n_jobs=1)
    return torch.from_numpy(found.fit_transform(features.cpu().numpy())).double()


def require_projection(name: str) -> None:
    """Raise a ConfigError if there is no such projection, or not on this machine."""
    if name not in PROJECTIONS:
        raise ConfigError(
            f"Unknown map '{name}'. Expected one of: {', '.join(PROJECTIONS)}. Leave --map out for "
            f"{PROJECTIONS[0]}."
        )
    if name == "umap" and find_spec("umap") is None:
        raise ConfigError(
            "umap-learn is not installed. Expected it for --map umap. Install it with pip install "
            "'fdmo[umap]', or use --map pca."
        )


def project(features: Tensor, projection: str, *, seed: int) -> Tensor:
    """Return features as points on a plane; ``projection`` is one of :data:`PROJECTIONS`.

    Args:
        features: Shape ``(N, F)``.
        projection: Its name.
        seed: Of a projection that draws.

    Returns:
        Shape ``(N, 2)``, float64.
    """
    if projection == "umap":
        return umap_coordinates(features, seed=seed)
    return principal_components(features)
