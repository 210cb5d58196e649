"""What the paper's tables and figures consist of: rows, the cells behind them, the paper's figures.

All figures are fractions; the paper prints the top-1 accuracy as a percentage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

When = Literal["before", "after"]
Kind = Literal["table", "classes", "curves"]

HEADINGS = {"top1": "top-1 (%)", "acsa": "ACSA", "geometric_mean": "GM"}
METRICS = tuple(HEADINGS)
NUM_SAMPLES = (10, 50, 100, 200, 300)  # N_s in Fig. 4
PRESET_SAMPLES = 100  # N_s of the presets: the cells of the tables are these points
LOSSES = {"ldam": "LDAM", "focal": "Focal", "squared-error": "MSE", "cross-entropy": "CE"}
LOSSES_OF_FIGURE4 = ("ldam", "focal", "squared-error")


@dataclass(frozen=True)
class CellSettings:
    """How a cell differs from its experiment's preset.

    Attributes:
        settings: As ``--set`` takes them.
        preset: Another preset than the experiment's, whose data set stays.
    """

    settings: tuple[str, ...] = ()
    preset: str | None = None


@dataclass(frozen=True)
class Row:
    """One line of a table, or one point of a figure.

    Attributes:
        label: As it is shown.
        cell: Whose metrics it shows.
        when: Of the classifier before or after phase 2.
        paper: The paper's figures by metric, fractions; empty where it prints none.
        in_paper: Whether the paper has this row.
        series: The curve that a point belongs to.
        num_samples: N_s of a point.
    """

    label: str
    cell: str
    when: When
    paper: Mapping[str, float] = field(default_factory=dict)
    in_paper: bool = True
    series: str = ""
    num_samples: int = 0


@dataclass(frozen=True)
class Experiment:
    """A table or a figure of the paper.

    Attributes:
        name: As the command line has it.
        title: What it shows.
        preset: The configuration that the cells start from.
        rows: In the order of the paper, then those that the paper leaves out.
        kind: A table, recalls of the rarest classes, or curves over N_s.
    """

    name: str
    title: str
    preset: str
    rows: tuple[Row, ...]
    kind: Kind = "table"

    @property
    def cells(self) -> dict[str, CellSettings]:
        """The cells behind the rows, by name, in the order of :data:`CELLS`."""
        used = {row.cell for row in self.rows}
        return {name: cell for name, cell in CELLS.items() if name in used}


def _cells() -> Iterator[tuple[str, CellSettings]]:
    """Yield all cells.

    The first of those with equal settings of phase 1 is the one that trains it. It is in every
    experiment that has one of them, so experiments in one folder share it.
    """
    real, no_auxiliary = "rebalancer.artificial=false", "model.auxiliary_classifier=false"
    for loss in LOSSES:
        yield loss, CellSettings((f"loss.name={loss}",))
        yield f"{loss}-real", CellSettings((f"loss.name={loss}", real))
    yield "no-aux-ldam", CellSettings(("loss.name=ldam", no_auxiliary))
    yield "no-aux-ldam-real", CellSettings(("loss.name=ldam", no_auxiliary, real))
    yield "no-aux-cross-entropy", CellSettings(("loss.name=cross-entropy", no_auxiliary))
    for stream in ("shape", "texture"):
        settings = ("loss.name=ldam", f"generator.artificial_streams={stream}")
        yield f"{stream}-only", CellSettings(settings)
    for loss in LOSSES_OF_FIGURE4:
        for number in NUM_SAMPLES:
            if number != PRESET_SAMPLES:
                settings = (f"loss.name={loss}", f"rebalancer.samples_per_class={number}")
                yield f"{loss}-{number}", CellSettings(settings)
    yield "zhang", CellSettings(("rebalancer.epochs=0",), preset="zhang")


CELLS = dict(_cells())


def _paper(top1: float, acsa: float, geometric_mean: float | None = None) -> dict[str, float]:
    """Return a row of the paper by metric; the top-1 accuracy is given as printed, in percent."""
    figures = {"top1": round(top1 / 100, 6), "acsa": acsa}
    return figures if geometric_mean is None else figures | {"geometric_mean": geometric_mean}


def _left_out(label: str, cell: str) -> Row:
    return Row(label, cell, "after", in_paper=False)


def _losses_without_the_other_change() -> tuple[Row, ...]:
    """Return the cells that tell the effect of the loss from that of the generator."""
    real = (_left_out(f"real features only, {LOSSES[one]}", f"{one}-real") for one in LOSSES)
    return (*real, _left_out("w/ Convex-GAN, CE", "cross-entropy"))


TABLE2 = Experiment(
    "table2",
    "Table 2: losses",
    "deepfashion",
    (
        Row("Zhang et al., CE", "zhang", "before", _paper(71.65, 0.3343)),
        Row("w/o Convex-GAN, CE", "ldam", "before", _paper(73.95, 0.3237)),
        Row("w/ Convex-GAN, MSE", "squared-error", "after", _paper(74.27, 0.3109)),
        Row("w/ Convex-GAN, Focal", "focal", "after", _paper(74.36, 0.3430)),
        Row("w/ Convex-GAN, LDAM", "ldam", "after", _paper(74.38, 0.3828)),
        *_losses_without_the_other_change(),
    ),
)
TABLE3 = Experiment(
    "table3",
    "Table 3: losses",
    "deepfashion2",
    (
        Row("Zhang et al., CE", "zhang", "before", _paper(81.89, 0.6949, 0.6673)),
        Row("w/o Convex-GAN, CE", "ldam", "before", _paper(83.65, 0.7185, 0.6870)),
        Row("w/ Convex-GAN, MSE", "squared-error", "after", _paper(83.88, 0.7084, 0.6418)),
        Row("w/ Convex-GAN, Focal", "focal", "after", _paper(83.81, 0.7205, 0.6922)),
        Row("w/ Convex-GAN, LDAM", "ldam", "after", _paper(83.80, 0.7291, 0.7086)),
        *_losses_without_the_other_change(),
    ),
)
TABLE4 = Experiment(
    "table4",
    "Table 4: the auxiliary classifier",
    "deepfashion",
    (
        Row("w/o aux", "no-aux-ldam", "before", _paper(71.51, 0.3090)),
        Row("w/ aux", "ldam", "before", _paper(73.95, 0.3237)),
        Row("w/o aux, Convex-GAN, LDAM", "no-aux-ldam", "after", _paper(70.58, 0.3778)),
        Row("w/ aux, Convex-GAN, LDAM", "ldam", "after", _paper(74.38, 0.3828)),
        _left_out("w/o aux, real features only, LDAM", "no-aux-ldam-real"),
        _left_out("w/ aux, real features only, LDAM", "ldam-real"),
        _left_out("w/o aux, Convex-GAN, CE", "no-aux-cross-entropy"),
        _left_out("w/ aux, Convex-GAN, CE", "cross-entropy"),
    ),
)
TABLE5 = Experiment(
    "table5",
    "Table 5: artificial features in one stream or both",
    "deepfashion",
    (
        Row("w/o Convex-GAN, CE", "ldam", "before", _paper(73.95, 0.3237)),
        Row("shape stream only, LDAM", "shape-only", "after", _paper(72.43, 0.3692)),
        Row("texture stream only, LDAM", "texture-only", "after", _paper(72.88, 0.3422)),
        Row("both streams, LDAM", "ldam", "after", _paper(74.38, 0.3828)),
        _left_out("real features only, LDAM", "ldam-real"),
        _left_out("both streams, CE", "cross-entropy"),
    ),
)
FIGURE2 = Experiment(
    "figure2",
    "Figure 2: recall of the rarest quarter of the classes",
    "deepfashion",
    (
        Row("w/o Convex-GAN", "ldam", "before", series="w/o Convex-GAN"),
        Row("w/ Convex-GAN", "ldam", "after", series="w/ Convex-GAN"),
    ),
    kind="classes",
)
FIGURE4 = Experiment(
    "figure4",
    "Figure 4: number of drawn features N_s",
    "deepfashion2",
    tuple(
        Row(
            f"{LOSSES[loss]}, N_s = {number}",
            loss if number == PRESET_SAMPLES else f"{loss}-{number}",
            "after",
            series=LOSSES[loss],
            num_samples=number,
        )
        for loss in LOSSES_OF_FIGURE4
        for number in NUM_SAMPLES
    ),
    kind="curves",
)

EXPERIMENTS = {one.name: one for one in (TABLE2, TABLE3, TABLE4, TABLE5, FIGURE2, FIGURE4)}
