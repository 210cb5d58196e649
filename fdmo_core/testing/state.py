"""What was learned comes back from a checkpoint exactly."""

from typing import Any

import torch

from fdmo_core.testing.checkpoints import READ, restore
from fdmo_core.testing.expectations import differing, expect, snapshot
from fdmo_core.testing.specimens import specimen_of


def check_comes_back_from_a_checkpoint(component: type[Any], config: Any) -> None:
    """Saved as a file and restored under another seed, it has the same state and result."""
    saved, restored = specimen_of(component, config), specimen_of(component, config, seed=1)
    with torch.no_grad():
        saved.module.train()(*saved.inputs)  # statistics of batch norm are state too
    saved.module.eval()
    restore(saved.module, restored.module)
    lost = differing(snapshot(saved.module), snapshot(restored.module))
    expect(
        not lost and all(map(torch.equal, saved.outputs(), restored.outputs())),
        f"After its checkpoint was restored it is another one "
        f"({', '.join(lost) or 'in its result'}). Expected the same, bit for bit: whatever counts "
        f"must be a parameter or a persistent buffer.",
        read=READ,
    )
