from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fdmo_core.checkpoint import (
    FORMAT_VERSION,
    Position,
    checkpoint_files,
    load_checkpoint,
    require_format,
    save_checkpoint,
)
from fdmo_core.errors import RunFolderError
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.sealed import read_sealed, write_sealed
from fdmo_core.testing.expectations import differing, snapshot

Optimizers = dict[str, torch.optim.Optimizer]


class Players(nn.Module):
    """Two players with an optimizer each, and a buffer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with seeded(seed, "players"):
            self.classifier = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
            self.generator = nn.Linear(3, 4)
        self.optimizers: Optimizers = {
            "classifier": torch.optim.Adam(self.classifier.parameters(), lr=0.01, fused=True),
            "generator.network": torch.optim.SGD(self.generator.parameters(), lr=0.1, momentum=0.9),
        }

    def forward(self, noise: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.generator(noise))
        return scores


def play(players: Players, steps: range) -> None:
    for step in steps:
        scores = players(torch.randn(8, 3, generator=rng_for(0, "noise", step)))
        players.zero_grad()
        scores.square().sum().backward()
        for optimizer in players.optimizers.values():
            optimizer.step()


def descend(layer: nn.Conv2d, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        layer(
            torch.randn(2, 3, 5, 5, generator=rng_for(0, "images", step))
        ).square().sum().backward()
        optimizer.step()


def save(folder: Path, players: Players, *, done: int = 3) -> None:
    save_checkpoint(
        folder, "phase2", position=Position(done, 9), module=players, optimizers=players.optimizers
    )


def load(folder: Path, players: Players) -> int:
    done, _ = load_checkpoint(
        checkpoint_files(folder, "phase2")[0], module=players, optimizers=players.optimizers
    )
    return done


def refusal(folder: Path) -> str:
    with pytest.raises(RunFolderError) as caught:
        load(folder, Players(0))
    return str(caught.value)


def test_what_is_restored_goes_on_bit_for_bit(tmp_path: Path) -> None:
    uninterrupted, stopped, restored = Players(0), Players(0), Players(1)
    play(uninterrupted, range(6))

    play(stopped, range(3))
    save(tmp_path, stopped)
    done = load(tmp_path, restored)
    play(restored, range(done, 6))

    assert done == 3
    assert differing(snapshot(uninterrupted), snapshot(restored)) == []


def test_every_optimizer_gets_its_own_state_and_rates_back(tmp_path: Path) -> None:
    saved, restored = Players(0), Players(1)
    play(saved, range(3))
    saved.optimizers["classifier"].param_groups[0]["lr"] = 0.005

    save(tmp_path, saved)
    load(tmp_path, restored)

    for name, optimizer in saved.optimizers.items():
        old, new = optimizer.state_dict(), restored.optimizers[name].state_dict()
        assert old["state"].keys() == new["state"].keys() != set()
        for index, entries in old["state"].items():
            assert all(torch.equal(new["state"][index][key], one) for key, one in entries.items())
    assert restored.optimizers["classifier"].param_groups[0]["lr"] == 0.005
    assert restored.optimizers["generator.network"].param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("fused", [False, True])
def test_an_optimizer_goes_on_bit_for_bit_whatever_the_layout_of_its_weights(
    tmp_path: Path, fused: bool
) -> None:
    layers = [nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last) for _ in range(2)]
    adams = [torch.optim.Adam(layer.parameters(), lr=0.1, fused=fused) for layer in layers]
    descend(layers[0], adams[0], range(3))

    save_checkpoint(
        tmp_path, "p", position=Position(3, 9), module=layers[0], optimizers={"all": adams[0]}
    )
    load_checkpoint(
        checkpoint_files(tmp_path, "p")[0], module=layers[1], optimizers={"all": adams[1]}
    )
    for layer, adam in zip(layers, adams, strict=True):
        descend(layer, adam, range(3, 6))

    assert differing(snapshot(layers[0]), snapshot(layers[1])) == []


def test_a_state_before_the_first_step_can_be_saved(tmp_path: Path) -> None:
    saved, restored = Players(0), Players(1)

    save(tmp_path, saved, done=0)

    assert load(tmp_path, restored) == 0
    assert differing(snapshot(saved), snapshot(restored)) == []


def head_of(folder: Path) -> dict[str, Any]:
    return read_sealed(folder / "phase2.safetensors").head


def with_head(folder: Path, head: dict[str, Any]) -> None:
    """Put another head into a checkpoint, sealed again."""
    file = folder / "phase2.safetensors"
    write_sealed(file, head, read_sealed(file).tensors)


def test_phases_lie_side_by_side_in_a_file_each(tmp_path: Path) -> None:
    players = Players(0)

    for phase in ("phase1", "phase2"):
        save_checkpoint(tmp_path, phase, position=Position(1, 9), module=players, optimizers={})

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "phase1.safetensors",
        "phase2.safetensors",
    ]


def test_the_head_is_plain_data(tmp_path: Path) -> None:
    save(tmp_path, Players(0), done=12)

    head = head_of(tmp_path)

    assert (head["format"], head["phase"], head["done"]) == (FORMAT_VERSION, "phase2", 12)
    assert list(head["optimizers"]) == ["classifier", "generator.network"]


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path)

    file = tmp_path / "phase2.safetensors"
    assert message.startswith(f"The checkpoint {file} cannot be read: ")
    assert message.endswith(
        "Expected the whole file as fdmo wrote it. Train again in a new folder."
    )


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.98])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    save(tmp_path, Players(0))
    file = tmp_path / "phase2.safetensors"
    content = file.read_bytes()

    file.write_bytes(content[: int(len(content) * share)])

    assert refusal(tmp_path).startswith(f"The checkpoint {file} cannot be read: ")


@pytest.mark.parametrize("found", [FORMAT_VERSION + 1, None, "1"])
def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path, found: object) -> None:
    save(tmp_path, Players(0))

    with_head(tmp_path, head_of(tmp_path) | {"format": found})

    assert refusal(tmp_path) == (
        f"The checkpoint {tmp_path / 'phase2.safetensors'} has format {found!r}. Expected 2. Use "
        f"the version of fdmo that wrote it (environment.json of the run names it), or train again."
    )


def test_the_format_of_this_version_is_fine() -> None:
    require_format(FORMAT_VERSION, "Something", FORMAT_VERSION)


def test_a_head_that_is_no_table_is_refused(tmp_path: Path) -> None:
    save_file({}, tmp_path / "phase2.safetensors", {"fdmo": "[]"})

    assert "cannot be read" in refusal(tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    players = Players(0)
    players.generator = nn.Linear(5, 4)
    save(tmp_path, players)

    message = refusal(tmp_path)

    assert "does not fit the run" in message
    assert "size mismatch for generator.weight" in message


def test_a_checkpoint_without_an_optimizer_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "phase2", position=Position(3, 9), module=Players(0), optimizers={})

    assert "does not fit the run: 'classifier'" in refusal(tmp_path)


def test_tensors_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "phase2.safetensors")

    assert "cannot be read" in refusal(tmp_path)


class Scaled:
    """A layer that learns with a gradient scaler."""

    def __init__(self, seed: int) -> None:
        with seeded(seed, "scaled"):
            self.layer = nn.Linear(3, 2)
        self.optimizer = torch.optim.Adam(self.layer.parameters(), lr=0.1, fused=True)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)

    def learn(self, steps: range) -> None:
        for step in steps:
            self.optimizer.zero_grad()
            noise = torch.randn(4, 3, generator=rng_for(0, "noise", step))
            self.scaler.scale(self.layer(noise).square().sum()).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def save(self, folder: Path) -> None:
        held = {"all": self.optimizer}
        save_checkpoint(
            folder,
            "p",
            position=Position(3, 9),
            module=self.layer,
            optimizers=held,
            scaler=self.scaler,
        )

    def load(self, folder: Path) -> None:
        held = {"all": self.optimizer}
        load_checkpoint(
            checkpoint_files(folder, "p")[0], module=self.layer, optimizers=held, scaler=self.scaler
        )


def test_a_scaler_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole, restored = Scaled(0), Scaled(1)
    whole.learn(range(3))
    whole.save(tmp_path)

    restored.load(tmp_path)

    assert restored.scaler.state_dict() == whole.scaler.state_dict()
    assert restored.scaler.get_scale() == 2.0**11  # it grew once
    whole.learn(range(3, 6))
    restored.learn(range(3, 6))
    assert restored.scaler.state_dict() == whole.scaler.state_dict()
    assert differing(snapshot(whole.layer), snapshot(restored.layer)) == []


def test_a_scaler_before_its_first_step_can_be_saved(tmp_path: Path) -> None:
    Scaled(0).save(tmp_path)
    restored = Scaled(1)

    restored.load(tmp_path)

    assert restored.scaler.state_dict() == Scaled(0).scaler.state_dict()


def test_a_scaler_that_is_turned_off_needs_no_state(tmp_path: Path) -> None:
    layer, off = nn.Linear(3, 2), torch.amp.GradScaler("cpu", enabled=False)

    save_checkpoint(tmp_path, "p", position=Position(2, 9), module=layer, optimizers={}, scaler=off)

    file, _ = checkpoint_files(tmp_path, "p")
    assert load_checkpoint(file, module=layer, optimizers={}, scaler=off) == Position(2, 9)


def test_a_checkpoint_without_the_scaler_s_state_is_refused(tmp_path: Path) -> None:
    saved, restored = Scaled(0), Scaled(1)
    save_checkpoint(
        tmp_path,
        "p",
        position=Position(1, 9),
        module=saved.layer,
        optimizers={"all": saved.optimizer},
    )

    with pytest.raises(RunFolderError, match=r"p.safetensors does not fit the run: "):
        restored.load(tmp_path)
