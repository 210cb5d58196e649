"""Planes on which features are shown."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from fdmo_core.errors import ConfigError
from fdmo_core.provenance import projection
from fdmo_core.provenance.projection import principal_components, require_projection

UMAP_OF_TWO_GROUPS = """
import json, torch
from fdmo_core.provenance.projection import project
rng = torch.Generator().manual_seed(0)
features = torch.randn(16, 5, generator=rng) + 50 * (torch.arange(16) < 8).unsqueeze(1)
print(json.dumps(project(features, "umap", seed=2**40).tolist()))
"""


def test_principal_components_are_those_of_numpy_s_decomposition() -> None:
    features = torch.randn(30, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(8)

    found = principal_components(features).numpy()

    values = features.double().numpy()
    centred = values - values.mean(axis=0)
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    for place in range(2):
        sign = np.sign(right[place][np.abs(right[place]).argmax()])
        assert np.allclose(found[:, place], left[:, place] * singular[place] * sign)


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (6, 1)])
def test_fewer_directions_leave_zeros(shape: tuple[int, int]) -> None:
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    found = principal_components(features)

    assert found.shape == (shape[0], 2)
    assert torch.allclose(found[:, 1], torch.zeros(()).double(), atol=1e-6)


@pytest.mark.skipif(find_spec("umap") is None, reason="needs umap-learn")
def test_umap_keeps_far_groups_apart() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # compiling takes longer than the points
    result = subprocess.run(
        [sys.executable, "-c", UMAP_OF_TWO_GROUPS], env=environment, capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr
    points = torch.tensor(json.loads(result.stdout))
    assert points.shape == (16, 2)
    assert torch.cdist(points[:8], points[8:]).min() > torch.cdist(points[:8], points[:8]).max()


def test_an_unknown_map_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        require_projection("tsne")

    assert str(caught.value) == (
        "Unknown map 'tsne'. Expected one of: pca, umap. Leave --map out for pca."
    )


def test_without_umap_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "find_spec", lambda _name: None)

    with pytest.raises(ConfigError) as caught:
        require_projection("umap")

    assert str(caught.value) == (
        "umap-learn is not installed. Expected it for --map umap. Install it with pip install "
        "'fdmo[umap]', or use --map pca."
    )
