"""Phase 1 of one network into a run folder, from the checkpoint that is there."""

from torch import Tensor

from fdmo_core.component_errors import during
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.journal import Journal
from fdmo_core.maps import Maps
from fdmo_core.network import Network
from fdmo_core.phase1 import start_phase1, train_phase1
from fdmo_core.recorder import Recorder


def train_recorded(
    run: Run,
    maps: Maps,
    network: Network,
    recorder: Recorder,
    *,
    phase: str = "phase1",
    rows: Tensor | None = None,
    compute: Compute,
    journal: Journal,
) -> None:
    """Train a network, with checkpoints on the way; what is done already is taken up.

    Args:
        run: Phase 1.
        maps: Of the training split.
        network: As phase 1 begins with it, on the device; changed in place.
        recorder: Keeps the checkpoints.
        phase: What checkpoint and journal call it.
        rows: Images to learn from, None for all of the split. Shape ``(N',)``, int64.
        compute: Device, precision and processes.
        journal: Told every step.
    """
    state = start_phase1(network, run.core.phase1, compute)
    optimizers = {"all": state.optimizer}
    first_step = recorder.restore(phase, network, optimizers, state.scaler, journal=journal)
    with during(phase):
        train_phase1(
            state,
            maps,
            run.core.phase1,
            seed=run.core.seed,
            compute=compute,
            journal=journal,
            rows=rows,
            phase=phase,
            first_step=first_step,
            after_step=lambda position: recorder.after_step(
                phase, position, network, optimizers, state.scaler
            ),
            guard=recorder.guard(phase, journal, first_step=first_step),
        )
