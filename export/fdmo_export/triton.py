"""A model repository for NVIDIA's Triton server: the file, a configuration of it, class names."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fdmo_core.errors import ConfigError, ExportError
from fdmo_core.files import cannot_write
from fdmo_export.contract import OUTPUT_PROBABILITIES
from fdmo_export.onnxruntime_package import import_onnxruntime
from fdmo_export.runtime import OnnxClassifier

KINDS = ("auto", "cpu", "gpu")
LABELS = "labels.txt"
TYPES = {  # onnxruntime's name of a type to Triton's and numpy's
    "tensor(float)": ("TYPE_FP32", "float32"),
    "tensor(uint8)": ("TYPE_UINT8", "uint8"),
}
VARIABLE = -1


@dataclass(frozen=True)
class TritonOptions:
    """How the server runs the model.

    Attributes:
        max_batch_size: Requests for images of one size are joined up to it; 0 joins none, and
            lets a request give the optional inputs.
        kind: Where it runs: ``"cpu"``, ``"gpu"``, or ``"auto"``, which takes GPUs where there are.
        instances: How many run at once, on each device.
    """

    max_batch_size: int = 32
    kind: str = "auto"
    instances: int = 1


@dataclass(frozen=True)
class TritonTensor:
    """An input or output as the configuration has it.

    Attributes:
        name: Of the contract.
        data_type: Such as ``TYPE_FP32``.
        dims: -1 for any length; without the batch where the server joins requests.
        more: Further fields, such as ``optional: true``.
    """

    name: str
    data_type: str
    dims: tuple[int, ...]
    more: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Return the fields, one a line."""
        dims = ", ".join(map(str, self.dims))
        fields = (f'name: "{self.name}"', f"data_type: {self.data_type}", f"dims: [ {dims} ]")
        return "\n".join(f"    {field}" for field in (*fields, *self.more))


def write_repository(
    model: Path, out: Path, *, name: str, options: TritonOptions | None = None
) -> Path:
    """Write ``out/name`` with the file as version 1, ``config.pbtxt`` and ``labels.txt``.

    It appears whole: a server that watches ``out`` never sees half of it.

    Args:
        model: A file of ``fdmo export onnx``.
        out: The repository; it is made.
        name: Of the model.
        options: How the server runs it.

    Returns:
        The model's folder.

    Raises:
        ConfigError: The name or an option is out of range.
        ExportError: The file is not one of fdmo's, a class name has several lines, or there is a
            model of that name.
        RunFolderError: The repository cannot be written.
    """
    options = options or TritonOptions()
    folder = require_room(out, name, options)
    temporary = out / f".{name}.{os.getpid()}.tmp"
    classifier = OnnxClassifier(model, provider="cpu")
    labels, external = _labels(classifier.class_names), classifier.metadata.get("external_data")
    text = describe_model(model, name=name, options=options)
    try:
        (temporary / "1").mkdir(parents=True)
        shutil.copyfile(model, temporary / "1" / "model.onnx")
        if external is not None:  # weights beside the file, which refers to them by name
            shutil.copyfile(model.with_name(external["file"]), temporary / "1" / external["file"])
        (temporary / "config.pbtxt").write_text(text, encoding="utf-8")
        (temporary / LABELS).write_text(labels, encoding="utf-8")
        temporary.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def safe_name(text: str) -> str:
    """Return a text as a model's name: what may not be in one becomes a dash."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "model"


def require_room(out: Path, name: str, options: TritonOptions) -> Path:
    """Return the folder that will be written.

    Raises:
        ConfigError: The name or an option is out of range.
        ExportError: There is a model of that name.
    """
    if name != safe_name(name):
        raise ConfigError(
            f"--name is '{name}'. Expected letters, digits, dots, dashes and underscores, with no "
            f"dot or dash at either end. Pass for instance --name {safe_name(name)}."
        )
    if options.kind not in KINDS:
        raise ConfigError(
            f"--kind is '{options.kind}'. Expected one of: {', '.join(KINDS)}. Choose one of these."
        )
    folder = out / name
    if folder.exists():
        raise ExportError(
            f"{folder} exists already. Expected a name that the repository has not. Choose another "
            f"one with --name, or remove the folder."
        )
    return folder


def _labels(class_names: Sequence[str]) -> str:
    """Return the labels file: a class a line, so that a name cannot have two."""
    for one in class_names:
        if "\n" in one:
            raise ExportError(
                f"The class {one!r} has a name of several lines. Expected names of one line, for "
                f"Triton reads a class from each line of {LABELS}. Rename the class in the data "
                f"and train again."
            )
    return "".join(f"{one}\n" for one in class_names)


def describe_model(model: Path, *, name: str, options: TritonOptions) -> str:
    """Return ``config.pbtxt``, after a batch has shown that the model is as it says.

    Source: Triton's model configuration, and the checks of its onnxruntime backend: inputs with a
    default are *optional*, which it refuses for models that join requests.

    Raises:
        ExportError: The outputs have other shapes or types than the model declares.
    """
    runtime = import_onnxruntime()
    settings = runtime.SessionOptions()
    settings.log_severity_level = 3  # not its warnings that an input has a default
    session = runtime.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
    is_batched = options.max_batch_size > 0
    inputs = [_tensor(one, is_batched) for one in session.get_inputs()]
    if not is_batched:
        dials = session.get_overridable_initializers()
        inputs += [_tensor(one, is_batched, "optional: true") for one in dials]
    outputs = [_tensor(one, is_batched, *_label_field(one.name)) for one in session.get_outputs()]
    require_answers(session, outputs, is_batched=is_batched)
    return "\n".join(_lines(name, options, inputs, outputs)) + "\n"


def _label_field(name: str) -> tuple[str, ...]:
    return (f'label_filename: "{LABELS}"',) if name == OUTPUT_PROBABILITIES else ()


def _tensor(declared: Any, is_batched: bool, *more: str) -> TritonTensor:
    """Return an input or output of a session; a scalar is one number, as the server has it."""
    lengths = declared.shape[1:] if is_batched else declared.shape
    dims = tuple(one if isinstance(one, int) else VARIABLE for one in lengths) or (1,)
    return TritonTensor(declared.name, TYPES[declared.type][0], dims, more)


def _lines(
    name: str,
    options: TritonOptions,
    inputs: Sequence[TritonTensor],
    outputs: Sequence[TritonTensor],
) -> Iterator[str]:
    yield f'name: "{name}"'
    yield 'backend: "onnxruntime"'
    yield f"max_batch_size: {options.max_batch_size}"
    if options.max_batch_size > 1:
        yield "dynamic_batching { }"
    for field, tensors in (("input", inputs), ("output", outputs)):
        yield f"{field} ["
        yield ",\n".join(f"  {{\n{one.as_text()}\n  }}" for one in tensors)
        yield "]"
    yield f"instance_group [ {{ count: {options.instances} kind: KIND_{options.kind.upper()} }} ]"


def require_answers(session: Any, outputs: Sequence[TritonTensor], *, is_batched: bool) -> None:
    """Raise an ExportError if a batch of two has answers of other shapes or types.

    Args:
        session: Of the model.
        outputs: As the configuration has them.
        is_batched: Whether their dims leave out the batch.
    """
    (declared,) = session.get_inputs()
    shape = [2, *(one if isinstance(one, int) else 8 for one in declared.shape[1:])]
    batch = np.zeros(shape, dtype=TYPES[declared.type][1])
    found = session.run([one.name for one in outputs], {declared.name: batch})
    for one, answer in zip(outputs, found, strict=True):
        dims = (2, *one.dims[0 if is_batched else 1 :])
        if answer.shape != dims or answer.dtype != "float32":
            raise ExportError(
                f"The output '{one.name}' has shape {answer.shape} and type {answer.dtype}. "
                f"Expected {dims} of float32, as the file declares. Export the run again."
            )
