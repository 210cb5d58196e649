"""``fdmo predict``: what an exported file makes of image files."""

import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdmo_cli.options import JsonOption

if TYPE_CHECKING:
    from fdmo_cli.prediction.lines import Format, Lines
    from fdmo_cli.prediction.output import Kept, Output
    from fdmo_cli.prediction.stream import PredictionSettings
    from fdmo_core.errors import DataError
    from fdmo_export.runtime import OnnxClassifier

SOME_FAILED = 3  # exit code


def predict(
    model: Annotated[Path, typer.Argument(help="An exported ONNX file.")],
    paths: Annotated[
        list[str], typer.Argument(help="Image files, folders, or - for names on stdin.")
    ],
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    top: Annotated[int, typer.Option("--top", help="Classes of each answer at most.")] = 5,
    batch: Annotated[int, typer.Option("--batch", max=4096, help="Images at once.")] = 32,
    provider: Annotated[
        str, typer.Option("--provider", help="auto, cpu, cuda or tensorrt.")
    ] = "auto",
    allow_cpu: Annotated[
        bool, typer.Option("--allow-cpu", help="Go on without the provider that was asked for.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File for the answers; those that it has are kept."),
    ] = None,
    target_prior: Annotated[
        str | None,
        typer.Option(
            "--target-prior",
            help="balanced, training, or a JSON file with the probability of each class.",
        ),
    ] = None,
    tau: Annotated[
        float | None, typer.Option("--tau", help="How far to follow the target prior.")
    ] = None,
    max_pixels: Annotated[
        int, typer.Option("--max-pixels", help="Width x height above which an image is refused.")
    ] = 64_000_000,
) -> None:
    """Classify image files; exit code 3 if some of them cannot be read."""
    from fdmo_cli.prediction.output import Output
    from fdmo_cli.prediction.stream import PredictionSettings
    from fdmo_export.runtime import OnnxClassifier
    from fdmo_export.threads import available_threads

    form = _format(as_json=as_json, as_csv=as_csv, out=out)
    for name, value in (("--top", top), ("--batch", batch), ("--max-pixels", max_pixels)):
        _require_positive(name, value)
    prior = None if target_prior is None else _read_prior(target_prior)
    classifier = OnnxClassifier(
        model,
        provider=provider,
        allow_cpu=allow_cpu,
        threads=1,  # each of several threads runs a batch of its own
        spin=False,
    )
    classifier.predict([], target_prior=prior, tau=tau)  # refuses the file or a dial at once
    for one in classifier.passed_over if provider != "auto" else ():
        typer.echo(f"Provider '{classifier.provider}' is used; {one}", err=True)
    lines = _lines(classifier, form, top, prior, tau)
    settings = PredictionSettings(batch, available_threads(), max_pixels, prior, tau)
    kept = _read_kept(out, lines)
    files = _remaining(paths, kept)
    try:
        with Output(out, lines, kept) as output:
            bad = _classify(files, classifier, settings, output)
    except BrokenPipeError:  # who read the answers has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if bad:
        typer.echo(f"{len(bad)} file(s) could not be classified:", err=True)
        for reason in bad:
            typer.echo(f"  {reason}", err=True)
        raise typer.Exit(SOME_FAILED)


def _format(*, as_json: bool, as_csv: bool, out: Path | None) -> "Format":
    """Return how answers are written; those in a file are for a machine."""
    from fdmo_core.errors import ConfigError

    if as_json and as_csv:
        raise ConfigError("--json and --csv are both given. Expected one of them. Choose one.")
    if out is not None and not (as_json or as_csv):
        raise ConfigError(
            "--out is given without a format. Expected --json or --csv. Add one of them."
        )
    return "json" if as_json else "csv" if as_csv else "text"


def _require_positive(name: str, value: int) -> None:
    from fdmo_core.errors import ConfigError

    if value < 1:
        raise ConfigError(f"{name} is {value}. Expected at least 1. Give a positive number.")


def _read_prior(given: str) -> Any:
    """Return a target prior as the classifier takes it: a name, or what a JSON file holds."""
    from fdmo_core.errors import ConfigError
    from fdmo_core.json_files import read_json

    if given in ("balanced", "training"):
        return given
    try:
        return read_json(Path(given))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--target-prior {given} cannot be read ({error}). Expected 'balanced', 'training' or "
            f"a JSON file with a probability for each class, as a list or by name. Correct it."
        ) from error


def _lines(
    classifier: "OnnxClassifier", form: "Format", top: int, prior: Any, tau: float | None
) -> "Lines":
    """Return how answers are written; file and dials are told from others by two digests."""
    from fdmo_cli.prediction.lines import Lines

    model = classifier.digest[:16]
    if (prior, tau) != (None, None):
        model += "-" + hashlib.sha256(json.dumps([prior, tau]).encode()).hexdigest()[:8]
    names = classifier.class_names
    landmarks = classifier.landmark_names
    return Lines(form, min(top, len(names)), names, landmarks, model)


def _read_kept(out: Path | None, lines: "Lines") -> "Kept":
    """Return what the output holds already, and say so."""
    from fdmo_cli.prediction.output import NOTHING, read_kept

    kept = NOTHING if out is None else read_kept(out, lines)
    if kept.size:
        cut = ", without a last line that was cut" if kept.was_cut else ""
        typer.echo(f"{out} keeps {len(kept.files)} answer(s){cut}.", err=True)
    return kept


def _remaining(paths: list[str], kept: "Kept") -> Iterable[str]:
    """Return the files without an answer; a list unless their names are still to come."""
    from fdmo_cli.prediction.files import FROM_STDIN, list_files
    from fdmo_core.errors import DataError

    if FROM_STDIN in paths and sys.stdin is None:
        raise DataError(
            "stdin is closed. Expected names of files on it, as '-' says. Give files or folders."
        )
    found = list_files(paths, sys.stdin.buffer if FROM_STDIN in paths else io.BytesIO())
    if FROM_STDIN in paths:
        return (one for one in found if one not in kept.files)
    known = list(found)
    if not known:
        raise DataError(
            f"There is no image in {', '.join(paths)}. Expected image files, or folders of them. "
            f"Correct the paths."
        )
    return [one for one in known if one not in kept.files]


def _classify(
    files: Iterable[str],
    classifier: "OnnxClassifier",
    settings: "PredictionSettings",
    output: "Output",
) -> "list[DataError]":
    """Write the answers; return why some files have none."""
    from fdmo_cli.prediction.stream import predict_files
    from fdmo_cli.progress import ProgressBars
    from fdmo_core.errors import DataError
    from fdmo_core.journal import Progress

    total = len(files) if isinstance(files, list) else 0  # grows with what comes
    done = 0
    bad = []
    with ProgressBars(quiet=output.is_shown or not sys.stderr.isatty()) as bars:
        for answers in predict_files(files, classifier, settings):
            output.add((file, one) for file, one in answers if not isinstance(one, DataError))
            bad += [one for _, one in answers if isinstance(one, DataError)]
            done += len(answers)
            bars.show(Progress("predict", done, max(total, done), {}))
    return bad
