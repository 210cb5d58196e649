"""From the command line to what is to be done: methods, seeds, baseline and folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdmo_cli.comparison.methods import (
    LENDERS,
    Method,
    all_methods,
    choose_baseline,
    choose_methods,
    parse_sweep,
)
from fdmo_cli.comparison.plan import (
    Budget,
    Planned,
    Start,
    budget_of,
    expand_sweep,
    plan_cells,
    require_free,
    with_budget,
)
from fdmo_cli.comparison.tuning import read_tuned
from fdmo_cli.presets import find_config
from fdmo_core.config import read_toml
from fdmo_core.errors import ConfigError
from fdmo_core.metrics import MetricsConfig
from fdmo_core.registry import Registry

DEFAULT_SEEDS = 5
PLAIN = "plain"
OF_FEATURES = "features"  # the data set of what other networks computed


@dataclass(frozen=True)
class Order:
    """What is to be done.

    Attributes:
        start: What all methods start from.
        methods: Those that are run.
        left_out: Why others are not, by name.
        seeds: Of the runs.
        baseline: Name of a method.
        folder: Of cells and results.
        trials: Of settings for each method; 0 for the defaults.
        sweep: The setting whose values are tried, or empty.
        budget: Of every method that takes steps.
        metrics: Confidence and number of resampled test sets.
        phase1_from: Run folder whose phase 1 is used, if any.
    """

    start: Start
    methods: Sequence[Method]
    left_out: Mapping[str, str]
    seeds: Sequence[int]
    baseline: str
    folder: Path
    trials: int
    sweep: str
    budget: Budget
    metrics: MetricsConfig
    phase1_from: Path | None

    def cells(self) -> list[Planned]:
        """Return the cells, with the settings that validation has chosen by now."""
        tuned = read_tuned(self.folder, self.methods, trials=self.trials)
        return plan_cells(self.methods, self.seeds, self.start, self.folder, tuned=tuned)


def make_order(
    registry: Registry,
    *,
    source: str | None,
    data: str | None,
    config: Path | None,
    plugins: Iterable[str],
    settings: Iterable[str],
    methods: str | None,
    seeds: int | None,
    seed: int | None,
    baseline: str | None,
    sweep: str | None,
    trials: int,
    out: Path | None,
) -> Order:
    """Return what the command line asks for; see ``fdmo compare --help`` for the arguments.

    Raises:
        ConfigError: An option is wrong, does not suit the others, or names what is not installed.
    """
    lender = _run_folder(source, config=config, data=data)
    if source is not None and lender is None:
        data = _only_one(source, data)
    content = {} if config is None else read_toml(find_config(config))
    if lender is not None:
        content = read_toml(lender / "config.toml")
    start = Start(content, tuple(plugins), data, tuple(settings), registry)
    require_free(start)
    run = start.run(0)
    kept, left_out = _methods(methods, start, lender)
    key, values = ("", []) if sweep is None else parse_sweep(sweep)
    if key:
        kept = expand_sweep(kept, key, values, start)
    name = Path(source or data or run.data.config.name).stem
    return Order(
        start=start,
        methods=kept,
        left_out=left_out,
        seeds=_seeds(seeds, seed, content, lender),
        baseline=choose_baseline(baseline, [one.name for one in kept]),
        folder=out or Path("runs", "compare", name),
        trials=trials,
        sweep=key,
        budget=budget_of(run),
        metrics=run.core.metrics,
        phase1_from=lender,
    )


def _run_folder(source: str | None, *, config: Path | None, data: str | None) -> Path | None:
    """Return the source if it is a run folder, from which everything else then comes."""
    if source is None or not (Path(source) / "checkpoints").is_dir():
        return None
    if config is not None or data is not None:
        raise ConfigError(
            f"{source} is a run folder, with its own configuration and data. Expected no --config "
            f"and no --data beside it. Leave them out."
        )
    return Path(source)


def _only_one(source: str, data: str | None) -> str:
    if data is not None:
        raise ConfigError(
            f"Data is named twice: '{source}' and --data {data}. Expected it once. Leave one out."
        )
    return source


def _methods(
    names: str | None, start: Start, lender: Path | None
) -> tuple[list[Method], dict[str, str]]:
    """Return the methods that can be run and why others cannot; those asked for must."""
    chosen = choose_methods(names, start.registry)
    kept, left_out = with_budget(chosen, start)
    if lender is not None:
        left_out |= {
            one.name: f"It needs a phase 1 of its own ('{one.family}'), and {lender} has another."
            for one in kept
            if one.family != PLAIN
        }
        kept = [one for one in kept if one.family == PLAIN]
    if start.run(0).data.config.name == OF_FEATURES:
        left_out |= {
            one.name: "It joins networks that learn features, but the data are features already."
            for one in kept
            if one.family in LENDERS
        }
        kept = [one for one in kept if one.family not in LENDERS]
    if names is None:
        left_out |= start.registry.gone()
    elif left_out:
        name, reason = next(iter(left_out.items()))
        raise ConfigError(f"Method '{name}' cannot be run. {reason}")
    if len(kept) < 2:
        raise ConfigError(
            f"{len(kept)} method(s) can be run. Expected at least 2 to compare. Name some of: "
            f"{', '.join(all_methods(start.registry))}."
        )
    return kept, left_out


def _seeds(
    number: int | None, first: int | None, content: Mapping[str, Any], lender: Path | None
) -> list[int]:
    if lender is None:
        begin = first or 0
        return list(range(begin, begin + (number or DEFAULT_SEEDS)))
    if (number or 1) > 1 or first not in (None, content["seed"]):
        raise ConfigError(
            f"{lender} holds one phase 1, of seed {content['seed']}. Expected no other seeds. "
            f"Leave --seeds and --seed out, or compare on its data with --config."
        )
    return [int(content["seed"])]
