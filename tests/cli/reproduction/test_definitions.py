"""The rows and the paper's figures, compared with its tables as they are printed."""

import pytest

from fdmo_cli.reproduction.definitions import CELLS, EXPERIMENTS, NUM_SAMPLES, Experiment

PRINTED = {
    "table2": {
        "Zhang et al., CE": ("71.65", "0.3343"),
        "w/o Convex-GAN, CE": ("73.95", "0.3237"),
        "w/ Convex-GAN, MSE": ("74.27", "0.3109"),
        "w/ Convex-GAN, Focal": ("74.36", "0.3430"),
        "w/ Convex-GAN, LDAM": ("74.38", "0.3828"),
    },
    "table3": {
        "Zhang et al., CE": ("81.89", "0.6949", "0.6673"),
        "w/o Convex-GAN, CE": ("83.65", "0.7185", "0.6870"),
        "w/ Convex-GAN, MSE": ("83.88", "0.7084", "0.6418"),
        "w/ Convex-GAN, Focal": ("83.81", "0.7205", "0.6922"),
        "w/ Convex-GAN, LDAM": ("83.80", "0.7291", "0.7086"),
    },
    "table4": {
        "w/o aux": ("71.51", "0.3090"),
        "w/ aux": ("73.95", "0.3237"),
        "w/o aux, Convex-GAN, LDAM": ("70.58", "0.3778"),
        "w/ aux, Convex-GAN, LDAM": ("74.38", "0.3828"),
    },
    "table5": {
        "w/o Convex-GAN, CE": ("73.95", "0.3237"),
        "shape stream only, LDAM": ("72.43", "0.3692"),
        "texture stream only, LDAM": ("72.88", "0.3422"),
        "both streams, LDAM": ("74.38", "0.3828"),
    },
    "figure2": {"w/o Convex-GAN": (), "w/ Convex-GAN": ()},
}
ALL = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)


@pytest.mark.parametrize("name", PRINTED)
def test_the_rows_of_the_paper_are_there_with_its_figures(name: str) -> None:
    rows = [row for row in EXPERIMENTS[name].rows if row.in_paper]

    found = {}
    for row in rows:
        paper = dict(row.paper)
        top1 = [f"{100 * paper.pop('top1'):.2f}"] if paper else []
        found[row.label] = (*top1, *(f"{figure:.4f}" for figure in paper.values()))
    assert found == PRINTED[name]


@ALL
def test_labels_and_cells_are_known_and_unique(experiment: Experiment) -> None:
    labels = [row.label for row in experiment.rows]

    assert len(set(labels)) == len(labels)
    assert all(row.cell in CELLS for row in experiment.rows)


@ALL
def test_the_cell_that_trains_phase_1_is_the_same_everywhere(experiment: Experiment) -> None:
    with_auxiliary = [name for name in experiment.cells if not name.startswith(("no-aux", "zh"))]

    assert with_auxiliary[0] == "ldam"


@pytest.mark.parametrize("name", ["table2", "table3"])
def test_the_cells_that_the_paper_leaves_out_are_run(name: str) -> None:
    ours = {row.cell for row in EXPERIMENTS[name].rows if not row.in_paper}

    assert ours == {
        *("ldam-real", "focal-real", "squared-error-real", "cross-entropy-real"),
        "cross-entropy",
    }


def test_tables_4_and_5_part_the_loss_from_the_generator() -> None:
    assert {row.cell for row in EXPERIMENTS["table4"].rows if not row.in_paper} == {
        *("ldam-real", "no-aux-ldam-real", "cross-entropy", "no-aux-cross-entropy"),
    }
    assert {row.cell for row in EXPERIMENTS["table5"].rows if not row.in_paper} == {
        *("ldam-real", "cross-entropy"),
    }


def test_what_phase_1_left_is_shown_where_the_paper_has_no_generator() -> None:
    before = {
        (name, row.label)
        for name, experiment in EXPERIMENTS.items()
        for row in experiment.rows
        if row.when == "before"
    }

    assert before == {
        *(("table2", label) for label in ("Zhang et al., CE", "w/o Convex-GAN, CE")),
        *(("table3", label) for label in ("Zhang et al., CE", "w/o Convex-GAN, CE")),
        *(("table4", label) for label in ("w/o aux", "w/ aux")),
        ("table5", "w/o Convex-GAN, CE"),
        ("figure2", "w/o Convex-GAN"),
    }


def test_figure_4_has_three_curves_over_five_numbers_of_samples() -> None:
    points = {(row.series, row.num_samples): row.cell for row in EXPERIMENTS["figure4"].rows}

    assert points.keys() == {
        (loss, number) for loss in ("LDAM", "Focal", "MSE") for number in (10, 50, 100, 200, 300)
    }
    assert points["Focal", 100] == "focal"
    assert CELLS[points["MSE", 300]].settings == (
        "loss.name=squared-error",
        "rebalancer.samples_per_class=300",
    )
    assert NUM_SAMPLES == (10, 50, 100, 200, 300)


def test_a_cell_of_one_stream_says_which() -> None:
    assert CELLS["shape-only"].settings == ("loss.name=ldam", "generator.artificial_streams=shape")
    assert CELLS["texture-only"].settings[1] == "generator.artificial_streams=texture"
