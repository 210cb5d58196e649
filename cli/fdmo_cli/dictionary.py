"""``fdmo dictionary``: what a run's artificial features are made of."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdmo_cli.options import DeviceOption, JsonOption, LenderOption

if TYPE_CHECKING:
    from fdmo_core.journal import Journal
    from fdmo_core.provenance.class_report import ClassReport
    from fdmo_core.trained_phases import TrainedPhase1

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def dictionary() -> None:
    """Show what is in a run's feature dictionary and what is made from it."""


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    class_: Annotated[str | None, typer.Option("--class", help="Class by name.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All classes.")] = False,
    num: Annotated[
        int, typer.Option("--num", min=1, max=256, help="Artificial features to show of a class.")
    ] = 8,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides what is made.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for contact sheets and maps.")
    ] = None,
    map_: Annotated[str, typer.Option("--map", help="pca, umap or none; with --out.")] = "pca",
    phase1_from: LenderOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show artificial features as sums of their source images, and how real they are."""
    from fdmo_cli.progress import ProgressBars
    from fdmo_cli.provenance.rendering import as_data, print_figures, print_samples
    from fdmo_cli.session import choose_device, load_registry
    from fdmo_core.journal import Journal
    from fdmo_core.trained_phases import open_phase1

    _check(class_, all_, out, map_)
    registry, chosen_device = load_registry(run, phase1_from), choose_device(device)
    with ProgressBars(quiet=as_json) as bars, Journal(show=bars.show, say=bars.say) as journal:
        phase1 = open_phase1(run, registry, chosen_device, journal, lender=phase1_from)
        names = phase1.splits.class_names
        found = _reports(_labels(names, class_, phase1), phase1, seed, journal)
    images = phase1.dictionary.sources.tolist()
    sources = [phase1.splits.train.source(image) for image in images]
    files = [] if out is None else _draw(out, found, phase1, num, projection=map_, seed=seed)
    if as_json:
        classes = {names[one.label]: as_data(one, sources, images, num) for one in found}
        typer.echo(json.dumps({"classes": classes, "files": [str(file) for file in files]}))
        return
    for one in [] if all_ else found:
        print_samples(names[one.label], one, sources, num)
    print_figures({names[one.label]: one.figures for one in found})
    for file in files:
        typer.echo(f"Wrote {file}")


def _check(class_: str | None, all_: bool, out: Path | None, map_: str) -> None:
    """Raise a ConfigError for options that do not fit, before anything is computed."""
    from fdmo_cli.reproduction.plots import require_matplotlib
    from fdmo_core.errors import ConfigError
    from fdmo_core.provenance.projection import require_projection

    if (class_ is None) == (not all_):
        raise ConfigError(
            f"--class is {class_} and --all is {str(all_).lower()}. Expected one of the two. Name "
            f"a class, or take all."
        )
    if map_ != "none":
        require_projection(map_)
        if out is not None:
            require_matplotlib("go without a map with --map none")


def _labels(names: tuple[str, ...], class_: str | None, phase1: "TrainedPhase1") -> list[int]:
    """Return the classes to show: the one that was named, or all that have a feature."""
    from difflib import get_close_matches

    from fdmo_core.errors import ConfigError

    if class_ is None:
        return phase1.dictionary.class_sizes.nonzero().flatten().tolist()
    if class_ not in names:
        close = get_close_matches(class_, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ConfigError(
            f"Unknown class '{class_}'. Expected one of: {', '.join(names)}.{hint} Correct --class."
        )
    return [names.index(class_)]


def _reports(
    labels: list[int], phase1: "TrainedPhase1", seed: int, journal: "Journal"
) -> "list[ClassReport]":
    from fdmo_core.provenance.class_report import report_class
    from fdmo_core.trained_phases import open_phase2

    phase2 = open_phase2(phase1, journal)
    held_out = phase1.validation_features(journal)
    found = []
    for done, label in enumerate(labels, start=1):
        found.append(
            report_class(
                label,
                phase2.rebalancer,
                phase2.dictionary,
                held_out.features[held_out.labels == label],
                name=phase1.splits.class_names[label],
                seed=seed,
            )
        )
        journal.progress("classes", done, len(labels))
    return found


def _draw(
    out: Path,
    found: "list[ClassReport]",
    phase1: "TrainedPhase1",
    num: int,
    *,
    projection: str,
    seed: int,
) -> list[Path]:
    """Write a contact sheet, if there are images, and a map of each class; return the files."""
    from fdmo_cli.provenance.contact_sheet import write_contact_sheet
    from fdmo_cli.provenance.feature_map import write_map
    from fdmo_core.files import cannot_write

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error
    files = []
    images = phase1.dictionary.sources.tolist()
    for one in found:
        name = phase1.splits.class_names[one.label]
        stem = f"{one.label:02}-{re.sub(r'[^0-9A-Za-z]+', '-', name)}"  # a name may hold a slash
        if one.mixtures is not None and not phase1.splits.feature_dim:
            sheet = out / f"{stem}-sources.png"
            write_contact_sheet(sheet, one.mixtures[:num], images, phase1.splits.train)
            files.append(sheet)
        if projection != "none":
            files += write_map(
                out, f"{stem}-map", one, title=name, projection=projection, seed=seed
            )
    return files
