"""The part of a file's graph that is computed at another precision: cut out, and put back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir
from onnx import NodeProto, ValueInfoProto, helper

from fdmo_export.contract import OUTPUT_LOGITS

LAYER_TYPES = ("Conv", "Gemm", "MatMul")
OWN = ".network"  # ends the names of constants of which the part has a copy of its own


@dataclass(frozen=True)
class NetworkPart:
    """What lies between a network's first layers and its last, as a model of its own.

    A layer is a convolution, or a product with a stored matrix, on which the logits depend. What
    comes before (the letterbox, the normalised pixels) and after (the dials, the softmax) is
    outside; so is a landmark head, for no gate judges landmarks.

    Attributes:
        model: Its inputs and outputs have the names of the whole graph's values.
        layers: The layers' nodes by name, in order, each with what its weights are called.
    """

    model: onnx.ModelProto
    layers: dict[str, str]


def cut(whole: onnx.ModelProto) -> NetworkPart:
    """Return the network's part of a graph.

    Args:
        whole: As it was traced: nodes in order, each with a name. It stays as it is.
    """
    nodes = list(whole.graph.node)
    stored = {one.name for one in whole.graph.initializer}
    layers = [
        one
        for one in _leading_to(nodes, {OUTPUT_LOGITS})
        if one.op_type in LAYER_TYPES and one.input[1] in stored
    ]
    names = {one.name for one in layers}
    before = _leading_to(nodes, {value for one in layers for value in one.input})
    after = {one.name for one in _following(nodes, {one.output[0] for one in layers})}
    names |= {one.name for one in before if one.name in after}
    return NetworkPart(_as_model(whole, names), {one.name: _weights(one) for one in layers})


def put_back(whole: onnx.ModelProto, part: onnx.ModelProto) -> onnx.ModelProto:
    """Return the whole graph with its network's part in another form.

    Args:
        whole: As it was traced. It stays as it is.
        part: What became of the model of ``cut(whole)``: same inputs, same outputs.
    """
    replaced = {one.name for one in cut(whole).model.graph.node}
    outside = [one for one in whole.graph.node if one.name not in replaced]
    later = _following(outside, {one.name for one in part.graph.output})
    earlier = _without(outside, later)
    used = {value for one in outside for value in one.input}
    kept = [one for one in whole.graph.initializer if one.name in used]
    merged = onnx.ModelProto()
    merged.CopyFrom(whole)
    del merged.graph.node[:], merged.graph.initializer[:], merged.graph.value_info[:]
    merged.graph.node.extend([*earlier, *_in_order(part), *later])
    merged.graph.initializer.extend([*kept, *part.graph.initializer])
    return merged


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return the model with more of its values as outputs; the given one stays as it is."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(ValueInfoProto(name=one) for one in names)
    return copy


def _weights(layer: NodeProto) -> str:
    return str(layer.input[1]).removeprefix("model.").removesuffix(".weight")


def _as_model(whole: onnx.ModelProto, names: set[str]) -> onnx.ModelProto:
    graph = whole.graph
    inside = [one for one in graph.node if one.name in names]
    read_outside = {value for one in graph.node if one.name not in names for value in one.input}
    read_outside |= {one.name for one in graph.output}
    read = dict.fromkeys(value for one in inside for value in one.input if value)
    made = dict.fromkeys(value for one in inside for value in one.output)
    constants = {one.name: one for one in graph.initializer}
    kinds = _kinds(whole)
    model = helper.make_model(
        helper.make_graph(
            inside,
            "network",
            [kinds[one] for one in read if one not in made and one not in constants],
            [kinds[one] for one in made if one in read_outside],
            [constants[one] for one in read if one in constants],
        ),
        opset_imports=whole.opset_import,
        ir_version=whole.ir_version,
    )
    _rename_constants(model, {one: one + OWN for one in constants if one in read_outside})
    return model


def _kinds(whole: onnx.ModelProto) -> Mapping[str, ValueInfoProto]:
    graph = onnx.shape_inference.infer_shapes(whole).graph
    return {one.name: one for one in (*graph.input, *graph.output, *graph.value_info)}


def _rename_constants(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    for constant in model.graph.initializer:
        constant.name = names.get(constant.name, constant.name)
    for node in model.graph.node:
        node.input[:] = [names.get(one, one) for one in node.input]


def _in_order(model: onnx.ModelProto) -> Sequence[NodeProto]:
    graph = onnx_ir.from_proto(model)
    graph.graph.sort()
    ordered: onnx.ModelProto = onnx_ir.to_proto(graph)
    return list(ordered.graph.node)


def _leading_to(nodes: Sequence[NodeProto], values: set[str]) -> list[NodeProto]:
    """Return the nodes that some of the values depend on, in order."""
    needed, found = set(values), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            found.append(node)
    return found[::-1]


def _following(nodes: Sequence[NodeProto], values: set[str]) -> list[NodeProto]:
    """Return the nodes that depend on some of the values, in order."""
    reached, found = set(values), []
    for node in nodes:
        if reached.intersection(node.input):
            reached.update(node.output)
            found.append(node)
    return found


def _without(nodes: Sequence[NodeProto], others: Sequence[NodeProto]) -> list[NodeProto]:
    names = {one.name for one in others}
    return [one for one in nodes if one.name not in names]
