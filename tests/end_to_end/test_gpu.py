"""The same run on a CUDA device; skipped where there is none, and so untested on such machines."""

from pathlib import Path

import pytest
import torch

from fdmo_core.config import resolve_run
from fdmo_core.data import open_data
from fdmo_core.engine import train
from fdmo_core.journal import Journal
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.run_folder import create_run_folder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SMALL = {"name": "small-vgg", "channels": [8, 16]}


@pytest.mark.parametrize("weights", ["per-sample", "per-feature"])
def test_a_run_on_cuda_gives_the_metrics_of_every_split(tmp_path: Path, weights: str) -> None:
    run = resolve_run(
        {
            "data": {"name": "garments", "largest_class": 20, "imbalance_ratio": 5},
            "texture_stream": SMALL,
            "shape_stream": SMALL,
            "phase1": {"shape_epochs": 1, "epochs": 1},
            "generator": {"name": "convexgan", "weights": weights},
            "rebalancer": {"name": "adversarial", "epochs": 1, "samples_per_class": 5},
        },
        Registry(load_plugins()),
    )
    folder = create_run_folder(tmp_path / "run", data="garments")

    metrics = train(
        run,
        open_data(run),
        folder,
        device=torch.device("cuda"),
        journal=Journal(),
        command="test",
    )

    assert 0 <= metrics["test"]["after"]["acsa"] <= 1
    assert metrics["val"]["before"]["samples"] == metrics["val"]["after"]["samples"]
