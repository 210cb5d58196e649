"""The same run on a CUDA device; skipped where there is none, and so untested on such machines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fdmo_core.config import resolve_run
from fdmo_core.data import open_data
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SMALL = {"name": "small-vgg", "channels": [8, 16]}


@pytest.mark.parametrize(
    ("weights", "precision"),
    [
        ("per-sample", "fp32"),
        ("per-feature", "fp32"),
        ("per-sample", "bf16"),
        ("per-sample", "fp16"),
    ],
)
def test_a_run_on_cuda_gives_the_metrics_of_every_split(
    train_into: Callable[..., dict[str, Any]], tmp_path: Path, weights: str, precision: str
) -> None:
    run = resolve_run(
        {
            "data": {"name": "garments", "largest_class": 20, "imbalance_ratio": 5},
            "texture_stream": SMALL,
            "shape_stream": SMALL,
            "phase1": {"shape_epochs": 1, "epochs": 1},
            "compute": {"precision": precision},
            "generator": {"name": "convexgan", "weights": weights},
            "rebalancer": {"name": "adversarial", "epochs": 1, "samples_per_class": 5},
        },
        Registry(load_plugins()),
    )

    metrics = train_into(tmp_path / "run", run, open_data(run), device="cuda")

    assert 0 <= metrics["test"]["after"]["acsa"] <= 1
    assert metrics["val"]["before"]["samples"] == metrics["val"]["after"]["samples"]
