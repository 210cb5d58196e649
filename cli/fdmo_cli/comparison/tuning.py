"""Settings chosen on the validation split, by as many trials for every method; needs optuna."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fdmo_cli.comparison.cells import CellJob, measure, registry, score
from fdmo_cli.comparison.methods import Method
from fdmo_core.config import Run, resolve_run
from fdmo_core.errors import ConfigError, TrainingError
from fdmo_core.feature_space import FeatureSpace
from fdmo_core.files import make_folder, write_json
from fdmo_core.journal import Journal
from fdmo_core.json_files import read_json
from fdmo_core.phase2 import rebalance

if TYPE_CHECKING:
    from optuna import Trial

TUNED_BY = "acsa"


@dataclass(frozen=True)
class Range:
    """Where a setting is looked for; on a logarithmic scale where ``log`` says so."""

    low: float
    high: float
    log: bool = False


SEARCH_SPACE: Mapping[str, Range] = {
    "rebalancer.learning_rate": Range(1e-4, 1e-2, log=True),
    "rebalancer.tau": Range(0.0, 2.0),
    "generator.learning_rate": Range(2e-5, 2e-3, log=True),
    "generator.adversarial_weight": Range(1.0, 1e4, log=True),
    "generator.concentration": Range(0.1, 10.0, log=True),
    "loss.gamma": Range(0.5, 5.0),
    "loss.max_margin": Range(0.1, 1.0),
}


@dataclass(frozen=True)
class TuneJob:
    """One method, as plain data.

    Attributes:
        cell: Its first seed, with the settings to start from; the folder is not used.
        keys: Settings to choose, keys of :data:`SEARCH_SPACE`.
        trials: How many.
        file: What is written.
    """

    cell: CellJob
    keys: tuple[str, ...]
    trials: int
    file: Path


def require_optuna() -> None:
    """Raise a ConfigError if optuna is not installed."""
    if find_spec("optuna") is None:
        raise ConfigError(
            "optuna is not installed. Expected it for --tune. Install it with pip install "
            "'fdmo[optuna]', or leave --tune out to use the defaults."
        )


def tunable(method: Method, run: Run) -> tuple[str, ...]:
    """Return the settings of a method that can be chosen: of the components that it names."""
    content = run.as_dict()
    fixed = {one.partition("=")[0] for one in method.settings}
    return tuple(
        key
        for key in SEARCH_SPACE
        if f"{key.partition('.')[0]}.name" in fixed
        and key not in fixed
        and isinstance(content[key.partition(".")[0]].get(key.partition(".")[2]), float)
    )


def tune(job: TuneJob) -> None:
    """Try settings on the validation split and write the best; the first trial is the defaults.

    Source: the tree-structured Parzen estimator of optuna (Bergstra et al. 2011).

    Raises:
        ConfigError: The validation split is empty.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = FeatureSpace.load(job.cell.space / "space")
    if not len(space.splits["val"].labels):
        raise ConfigError(
            "The validation split has no image. Expected some to choose settings on. Give the data "
            "a validation split, or leave --tune out."
        )
    seed = int(job.cell.content["seed"])
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed % 2**32)
    )
    study.enqueue_trial({key: _at(job.cell.content, key) for key in job.keys})
    study.optimize(lambda trial: _try(trial, job, space), n_trials=job.trials)
    done = [one for one in study.trials if one.value is not None]
    if not done:
        raise TrainingError(
            f"All {job.trials} trials diverged. Expected one with finite losses. Choose another "
            f"range of settings, or leave --tune out."
        )
    make_folder(job.file.parent)
    best = study.best_trial
    content = {"trials": job.trials, "settings": best.params, TUNED_BY: best.value}
    write_json(job.file, content)


def _at(content: Mapping[str, Any], key: str) -> float:
    section, _, option = key.partition(".")
    return float(content[section][option])


def _try(trial: "Trial", job: TuneJob, space: FeatureSpace) -> float:
    """Return the ACSA on the validation split of one trial's settings."""
    import optuna

    content = dict(job.cell.content)
    for key in job.keys:
        section, _, option = key.partition(".")
        limits = SEARCH_SPACE[key]
        value = trial.suggest_float(key, limits.low, limits.high, log=limits.log)
        content[section] = {**content[section], option: value}
    run = resolve_run(content, registry())
    device = torch.device(job.cell.device)
    try:
        rebalancer = rebalance(run, space, device=device, journal=Journal())
    except TrainingError as error:
        raise optuna.TrialPruned(str(error)) from error
    scored = {"val": list(score(space.splits["val"], rebalancer.classifier, device))}
    return float(measure(scored, space, run)["val"]["after"][TUNED_BY])


def read_tuned(folder: Path, methods: Sequence[Method], *, trials: int) -> dict[str, list[str]]:
    """Return the settings that were chosen before, by method, as ``--set`` takes them.

    Raises:
        ConfigError: They were chosen by another number of trials.
    """
    tuned: dict[str, list[str]] = {}
    for method in methods:
        file = tuned_file(folder, method)
        if not trials or not file.is_file():
            continue
        content = read_json(file)
        if content["trials"] != trials:
            raise ConfigError(
                f"The settings of '{method.name}' were chosen by {content['trials']} trials, and "
                f"now {trials} are asked for. Expected as many. Use --tune {content['trials']}, or "
                f"another folder with --out."
            )
        tuned[method.name] = [f"{key}={value!r}" for key, value in content["settings"].items()]
    return tuned


def tuned_file(folder: Path, method: Method) -> Path:
    """Return where the chosen settings of a method are kept."""
    return folder / "tuning" / f"{method.name}.json"
