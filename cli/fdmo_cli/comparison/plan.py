"""From the command line to the cells of a comparison: one for each method and seed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fdmo_cli.comparison.methods import FAMILIES, LENDERS, VARIED_SECTIONS, Method
from fdmo_cli.overrides import override
from fdmo_core.config import Run, RunConfig, resolve_run
from fdmo_core.errors import ConfigError
from fdmo_core.experiments import Cell
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.registry import Registry

UPDATES_A_STEP = {"adversarial": 2}  # of the classifier; others update it once


@dataclass(frozen=True)
class Start:
    """What all methods start from.

    Attributes:
        content: What the configuration file held, or that of the run folder that is compared on.
        plugins, data, settings: Of the command line.
        registry: Where components are found.
    """

    content: Mapping[str, Any]
    plugins: tuple[str, ...]
    data: str | None
    settings: tuple[str, ...]
    registry: Registry

    def run(self, seed: int, settings: Iterable[str] = ()) -> Run:
        """Return the run of some settings on top of these; options go where they fit.

        An option of a rebalancer, generator or loss that the command line names is for the methods
        whose component has it.
        """
        own = tuple(settings)
        content = override(
            self.content,
            self.registry,
            plugins=self.plugins,
            data=self.data,
            settings=[*(one for one in self.settings if self._fits(one, own)), *own],
            seed=seed,
        )
        return resolve_run(content, self.registry)

    def _fits(self, setting: str, own: Sequence[str]) -> bool:
        section, _, key = setting.partition("=")[0].strip().partition(".")
        return section not in VARIED_SECTIONS or key in self._options(section, own)

    def _options(self, section: str, own: Sequence[str]) -> set[str]:
        """Return the options of the component that a section names."""
        named = [one.partition("=")[2] for one in own if one.startswith(f"{section}.name=")]
        chosen = self.content.get(section, {}).get("name")
        name = (named or [chosen or RunConfig.model_fields[section].default["name"]])[-1]
        known = {one.name for one in self.registry.components(KIND_OF_SECTION[section])}
        if name not in known:
            return set()  # resolve_run says so
        return set(self.registry.find(name).component.config_class.model_fields)


@dataclass(frozen=True)
class Planned:
    """One method with one seed.

    Attributes:
        method: Which.
        seed: Of the run.
        cell: Configuration and folder.
        space: Run folder of the phase 1 that it starts from.
    """

    method: Method
    seed: int
    cell: Cell
    space: Path


@dataclass(frozen=True)
class Space:
    """One phase 1, shared by all methods of a family with one seed.

    Attributes:
        cell: Configuration and folder.
        out_of_fold: Whether a method needs the training images cross-fitted.
        lender: Run folder whose phase 1 and folds it begins with, if any.
    """

    cell: Cell
    out_of_fold: bool
    lender: Path | None = None


def require_free(start: Start) -> None:
    """Raise a ConfigError if the command line chooses what the methods vary."""
    chosen = [one for one in start.settings if one.partition("=")[0].strip() in _names()]
    chosen = [f"--set {one}" for one in chosen] + [
        f"--plugin {one}"
        for one in start.plugins
        if set(start.registry.find(one).kind.sections) & set(VARIED_SECTIONS)
    ]
    if chosen:
        raise ConfigError(
            f"'{chosen[0]}' chooses what the methods vary: rebalancer, generator and loss. "
            f"Expected a choice among methods. Name them with --methods."
        )


def _names() -> set[str]:
    return {f"{section}.name" for section in VARIED_SECTIONS}


@dataclass(frozen=True)
class Budget:
    """How much every method that takes steps may learn.

    Attributes:
        passes: How often the classifier is updated on as many features as the dictionary holds;
            None where the configured rebalancer takes no steps, and methods keep their own.
        batch_size: Features an update.
    """

    passes: int | None
    batch_size: int | None

    def options(self, run: Run) -> list[str]:
        """Return the settings that give a method this budget, of those that it has."""
        known = type(run.rebalancer.config).model_fields
        chosen: dict[str, int] = {}
        if self.passes is not None and "epochs" in known:
            chosen["epochs"] = max(1, self.passes // _updates_a_step(run)) if self.passes else 0
        if self.batch_size is not None and "batch_size" in known:
            chosen["batch_size"] = self.batch_size
        return [f"rebalancer.{key}={value}" for key, value in chosen.items()]


def _updates_a_step(run: Run) -> int:
    return UPDATES_A_STEP.get(run.rebalancer.config.name, 1)


def budget_of(run: Run) -> Budget:
    """Return the budget that a run's rebalancer has."""
    options = run.rebalancer.config.model_dump()
    epochs = options.get("epochs")
    return Budget(
        passes=None if epochs is None else epochs * _updates_a_step(run),
        batch_size=options.get("batch_size"),
    )


def with_budget(methods: Sequence[Method], start: Start) -> tuple[list[Method], dict[str, str]]:
    """Return the methods that are installed, with equal budgets, and why others are left out."""
    budget = budget_of(start.run(0))
    kept, left_out = [], {}
    for method in methods:
        try:
            run = start.run(0, (*FAMILIES[method.family], *method.settings))
        except ConfigError as error:
            left_out[method.name] = str(error)
            continue
        kept.append(replace(method, settings=(*budget.options(run), *method.settings)))
    return kept, left_out


def expand_sweep(
    methods: Sequence[Method], key: str, values: Sequence[str], start: Start
) -> list[Method]:
    """Return each method that has a setting once for each value, and the others as they are.

    Raises:
        ConfigError: No method has the setting.
    """
    section, _, option = key.partition(".")
    expanded: list[Method] = []
    for method in methods:
        config = start.run(0, method.settings).as_dict().get(section, {})
        if option not in config or any(one.startswith(f"{key}=") for one in method.settings):
            expanded.append(method)
            continue
        expanded += [
            replace(
                method,
                name=f"{method.name}@{value}",
                settings=(*method.settings, f"{key}={value}"),
            )
            for value in values
        ]
    if len(expanded) == len(methods):
        raise ConfigError(
            f"No method has the setting '{key}' that --sweep names. Expected a setting of one of "
            f"them. Correct it, or add such a method to --methods."
        )
    return expanded


def plan_cells(
    methods: Sequence[Method],
    seeds: Sequence[int],
    start: Start,
    folder: Path,
    *,
    tuned: Mapping[str, Sequence[str]],
) -> list[Planned]:
    """Return the cells, those of one seed together.

    Args:
        methods: Of :func:`with_budget`.
        seeds: Of the runs.
        start: What all start from.
        folder: Of the comparison.
        tuned: Settings that validation chose, by method.
    """
    return [
        Planned(
            method,
            seed,
            Cell(
                f"{method.name}/{seed}",
                start.run(
                    seed,
                    (*FAMILIES[method.family], *method.settings, *tuned.get(method.name, ())),
                ),
                folder / "cells" / method.name / str(seed),
            ),
            _space_folder(folder, method.family, seed),
        )
        for seed in seeds
        for method in methods
    ]


def plan_spaces(cells: Sequence[Planned], start: Start, folder: Path) -> list[Space]:
    """Return the phases 1 that the cells need, each once."""
    spaces: dict[Path, Space] = {}

    def add(family: str, seed: int, *, out_of_fold: bool) -> Path:
        path = _space_folder(folder, family, seed)
        lender = None
        if family in LENDERS:
            lender = add(LENDERS[family], seed, out_of_fold=True)
        known = spaces.get(path)
        if known is None:
            run = start.run(seed, FAMILIES[family])
            cell = Cell(f"phase 1 '{family}' of seed {seed}", run, path)
            spaces[path] = Space(cell, out_of_fold, lender)
        elif out_of_fold:
            spaces[path] = replace(known, out_of_fold=True)
        return path

    for one in cells:
        add(one.method.family, one.seed, out_of_fold=one.cell.run.cross_fits)
    return list(spaces.values())


def _space_folder(folder: Path, family: str, seed: int) -> Path:
    return folder / "spaces" / f"{family}-{seed}"
