"""Which layers stay at fp32: the most harmful ones, no more than half, in few tries."""

from collections.abc import Set

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from fdmo_export.gate import Drop, Gate
from fdmo_export.layer_search import Lowered, lower_what_passes

LAYERS = [f"layer{number}" for number in range(10)]


class Search:
    """A search over layers of given harms that passes when the kept ones are back."""

    def __init__(self, harms: dict[str, float], needed: Set[str]) -> None:
        self.harms = harms
        self.needed = needed
        self.judged: list[set[str]] = []

    def lower(self, keep: Set[str]) -> onnx.ModelProto:
        return onnx.ModelProto(producer_name=" ".join(sorted(keep)))

    def logits_of(self, model: onnx.ModelProto) -> NDArray[np.float32]:
        kept = set(model.producer_name.split())
        lowered = [self.harms.get(one, 0.001) for one in LAYERS if one not in kept]
        return np.full((2, 3), sum(lowered), dtype=np.float32)

    def gate_of(self, model: onnx.ModelProto) -> Gate:
        self.judged.append(set(model.producer_name.split()))
        drop = 0.0 if self.judged[-1] >= self.needed else 1.0
        return Gate(images=1, flips=0, drops={"acsa": Drop(drop, (drop, drop), 0.01)})

    def run(self, layers: list[str] = LAYERS) -> Lowered:
        return lower_what_passes(layers, self.lower, self.gate_of, self.logits_of)


def test_all_layers_are_lowered_where_that_passes() -> None:
    search = Search({}, needed=set())

    assert search.run().kept == ()
    assert search.judged == [set()]


def test_the_most_harmful_layer_goes_back_first() -> None:
    search = Search({"layer7": 5, "layer2": 3}, needed={"layer7"})

    found = search.run()

    assert found.kept == ("layer7",)
    assert found.gate.passes
    assert found.model.producer_name == "layer7"


def test_twice_as_many_layers_go_back_each_time_and_at_most_half() -> None:
    search = Search({}, needed=set(LAYERS))

    found = search.run()

    assert [len(one) for one in search.judged] == [0, 1, 2, 4, 5]
    assert not found.gate.passes
    assert len(found.kept) == 5


def test_kept_layers_are_named_in_the_order_of_the_graph() -> None:
    search = Search({"layer7": 5, "layer2": 3}, needed={"layer2", "layer7"})

    assert search.run().kept == ("layer2", "layer7")


@pytest.mark.parametrize("harm", [float("nan"), float("inf")])
def test_a_layer_that_gives_no_number_is_the_most_harmful(harm: float) -> None:
    search = Search({"layer4": harm, "layer2": 100}, needed={"layer4"})

    assert search.run().kept == ("layer4",)


def test_a_single_layer_cannot_go_back() -> None:
    search = Search({}, needed={"layer0"})

    found = search.run(["layer0"])

    assert found.kept == ()
    assert not found.gate.passes
