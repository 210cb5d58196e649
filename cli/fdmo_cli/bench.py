"""``fdmo bench``: how fast exported files answer."""

import json
import platform
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdmo_cli.options import JsonOption

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fdmo_export.runtime import OnnxClassifier

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

TORCH_EAGER = "torch eager"
Answer = Callable[["NDArray[Any]"], object]


@app.callback()
def group() -> None:
    """Keep ``onnx`` a command of its own, though it is the only one so far."""


@app.command()
def onnx(
    model: Annotated[Path, typer.Argument(help="A file of 'fdmo export onnx'.")],
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Run that the file is of: times PyTorch's network as well."),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(
            "--batch", min=1, max=4096, help="Samples at a time; repeatable; default: 1 and 8."
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option("--provider", help="cpu, cuda or tensorrt; repeatable; default: cpu."),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, max=3600, help="How long each line is measured.")
    ] = 3.0,
    size: Annotated[str, typer.Option("--size", help="WIDTHxHEIGHT of whole images.")] = "640x480",
    out: Annotated[Path | None, typer.Option("--out", help="Write the JSON there as well.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Time an exported file: throughput and latency by batch size and provider."""
    from fdmo_core.files import make_folder, write_json
    from fdmo_export.runtime import OnnxClassifier
    from fdmo_export.threads import available_threads

    shape, threads = _read_size(size), available_threads()
    if out is not None:
        make_folder(out.parent)  # a report that cannot be written is told before it is measured
    files = {
        name: OnnxClassifier(model, provider=name, threads=threads) for name in provider or ["cpu"]
    }
    file = next(iter(files.values()))
    answers: dict[str, Answer] = {f"onnxruntime {name}": one.run for name, one in files.items()}
    if run is not None:
        answers[TORCH_EAGER] = _torch_eager(run, file, threads)
    batches = [_make_inputs(file, one, *shape) for one in batch or [1, 8]]
    report = {
        "file": str(model),
        "input": list(batches[0].shape[1:]),
        "threads": threads,
        "processor": _processor_name(),
        "versions": _versions(with_torch=run is not None),
        "timings": [line for one in batches for line in _time(answers, one, seconds)],
    }
    if out is not None:
        write_json(out, report)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print(report)


def _time(
    answers: Mapping[str, Answer], inputs: "NDArray[Any]", seconds: float
) -> list[dict[str, Any]]:
    """Return a line for each way to answer one batch."""
    from fdmo_export.timing import time_in_turn

    actions = {name: partial(answer, inputs) for name, answer in answers.items()}
    timings = time_in_turn(actions, batch_size=len(inputs), seconds=seconds)
    return [{"by": name, **one.as_dict()} for name, one in timings.items()]


def _read_size(text: str) -> tuple[int, int]:
    """Return width and height."""
    from fdmo_core.errors import ConfigError
    from fdmo_export.pictures import MAX_PIXELS

    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None or int(found[1]) * int(found[2]) > MAX_PIXELS:
        raise ConfigError(
            f"--size is '{text}'. Expected width and height, at most {MAX_PIXELS} pixels. Pass "
            f"for instance --size 640x480."
        )
    return int(found[1]), int(found[2])


def _make_inputs(
    file: "OnnxClassifier", batch_size: int, width: int, height: int
) -> "NDArray[Any]":
    """Return a batch of noise as the file takes it; what is in it does not change the time."""
    import numpy as np

    rng = np.random.default_rng(0)
    if file.feature_dim:
        return rng.random((batch_size, file.feature_dim), dtype=np.float32)
    side = file.image_size
    one = (height, width, 3) if file.takes_whole_images else (3, side, side)
    return rng.integers(0, 256, (batch_size, *one), dtype=np.uint8)


def _torch_eager(run: Path, file: "OnnxClassifier", threads: int) -> Answer:
    """Return a function that answers as the file does, computed by PyTorch on the CPU."""
    import torch

    from fdmo_cli.session import load_registry
    from fdmo_core.errors import ConfigError
    from fdmo_core.run_folder import load_run
    from fdmo_export.contract import WHOLE_IMAGE
    from fdmo_export.graph import DeployedClassifier

    trained = load_run(run, load_registry(run))
    if json.loads(json.dumps(trained.run.as_dict())) != file.metadata["config"]:
        raise ConfigError(
            f"The file was not exported from {run}: their configurations differ. Expected the run "
            f"of the file, for its network is timed against it. Pass that run, or leave --run out."
        )
    torch.set_num_threads(threads)
    deployed = DeployedClassifier(
        trained.model,
        image_size=file.image_size,
        num_landmarks=len(trained.landmark_names),
        source_prior=torch.tensor(file.metadata["prior"]["source"]),
        preprocessing=file.takes_whole_images,
    ).eval()
    others = [deployed.source_prior, torch.tensor(1.0)]
    others += [torch.tensor([WHOLE_IMAGE])] if deployed.preprocessing else []

    @torch.inference_mode()
    def answer(inputs: "NDArray[Any]") -> object:
        return deployed(torch.from_numpy(inputs), *others)

    return answer


def _processor_name() -> str:
    """Return what the processor calls itself."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _versions(*, with_torch: bool) -> dict[str, str]:
    from fdmo_export.runtime import import_onnxruntime

    versions = {"fdmo": version("fdmo"), "onnxruntime": import_onnxruntime().__version__}
    return versions | ({"torch": version("torch")} if with_torch else {})


def _print(report: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    typer.echo(f"{report['processor']}, {report['threads']} threads; {versions}")
    typer.echo(f"{report['file']}, inputs of {' x '.join(map(str, report['input']))}")
    table = Table(box=None)
    table.add_column("by")
    for heading in ("batch", "batches", "samples/s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for line in report["timings"]:
        latencies = (f"{line[name] * 1000:.2f}" for name in ("p50", "p95", "p99"))
        rate = f"{line['samples_per_second']:.1f}"
        table.add_row(line["by"], str(line["batch_size"]), str(line["batches"]), rate, *latencies)
    Console().print(table)
