"""An error that a component raises by mistake names the component and where in the run it was."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
import torch
from torch import nn

from fdmo_core.component_errors import during, names_components, naming_components, owner_of
from fdmo_core.config import Run
from fdmo_core.errors import ConfigError
from fdmo_core.model_building import build_model
from fdmo_core.registry import Unresolved
from fdmo_plugins.datasets.garments.dataset import GarmentsDataset
from fdmo_plugins.dictionaries.memory import MemoryDictionary
from fdmo_plugins.losses.ldam import LdamLoss

MakeRun = Callable[..., Run]
OWN = f"fdmo {version('fdmo')}"


def fail(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("by mistake")


def raised(function: Callable[[], object], run: Run, where: str = "") -> BaseException:
    try:
        with naming_components(run), during(where) if where else nullcontext():
            function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", []))


@pytest.fixture
def run(tiny_run: MakeRun) -> Run:
    return tiny_run()


def test_the_note_is_the_last_line_and_the_traceback_stays(run: Run) -> None:
    loss = LdamLoss(run.loss.config, class_counts=torch.tensor([3, 2]))

    error = raised(lambda: loss(torch.zeros(2, 2), torch.tensor([0, 7])), run, "step 3 of phase2")

    lines = "".join(traceback.format_exception(error)).splitlines()
    assert lines[-2].startswith("RuntimeError: ")
    assert lines[-1] == f"Raised by loss 'ldam' of {OWN}, in step 3 of phase2."
    assert any("ldam.py" in line for line in lines)


def test_a_stage_that_fails_is_of_its_extractor(run: Run) -> None:
    model = build_model(run, num_classes=3, num_landmarks=0)

    error = raised(lambda: model.texture_maps(torch.zeros(1, 5, 8, 8)), run)

    assert notes(error) == [f"Raised by extractor 'small-vgg' of {OWN}."]


def test_the_innermost_component_is_named(run: Run) -> None:
    dictionary = MemoryDictionary(run.dictionary.config, num_classes=2, stream_dims=(1, 1), seed=0)

    class Rebalancing(run.rebalancer.component):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            nn.Module.__init__(self)

        def step(self, index: int, rng: torch.Generator) -> Any:
            return dictionary.build(broken_parts())

    def broken_parts() -> Iterator[Any]:
        yield "no batch"

    error = raised(lambda: Rebalancing().step(0, torch.Generator()), run)

    assert notes(error) == [f"Raised by dictionary 'memory' of {OWN}."]


def test_a_part_of_a_data_set_is_known_by_its_package(run: Run) -> None:
    splits = GarmentsDataset(run.data.config, seed=0).load()

    error = raised(lambda: splits.train[10**9], run, "reading images")

    assert notes(error) == [f"Raised by dataset 'garments' of {OWN}, in reading images."]


def test_errors_that_a_person_can_resolve_pass_as_they_are(run: Run) -> None:
    def refuse() -> None:
        raise ConfigError("No. Expected yes. Say yes.")

    assert notes(raised(refuse, run, "step 3 of phase2")) == []


def test_an_error_of_no_component_says_only_where(run: Run) -> None:
    assert notes(raised(fail, run, "step 3 of phase2")) == ["Raised in step 3 of phase2."]
    assert notes(raised(fail, run)) == []


def test_the_closest_place_is_noted_and_nothing_twice(run: Run) -> None:
    def nested() -> None:
        with naming_components(run), during("step 3 of phase2"):
            LdamLoss(run.loss.config, class_counts=None)  # type: ignore[arg-type]

    error = raised(nested, run, "phase2")

    assert notes(error) == [f"Raised by loss 'ldam' of {OWN}, in step 3 of phase2."]


def test_a_function_of_a_run_names_components(run: Run) -> None:
    @names_components
    def build(run: Run, counts: Any) -> object:
        return run.loss.component(run.loss.config, class_counts=counts)

    with pytest.raises(TypeError, match="NoneType") as caught:
        build(run, None)

    assert notes(caught.value) == [f"Raised by loss 'ldam' of {OWN}."]
    assert build.__name__ == "build"


def test_a_component_that_is_gone_is_nobody_s_owner(run: Run) -> None:
    gone: Any = Unresolved({"name": "gone"}, "It is gone.")

    assert owner_of(ZeroDivisionError(), replace(run, loss=gone)) == ""
