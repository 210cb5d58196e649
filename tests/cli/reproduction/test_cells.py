"""The configurations of an experiment's cells."""

from pathlib import Path

import pytest

from fdmo_cli.reproduction.cells import (
    Changes,
    default_folder,
    describe_changes,
    make_cells,
)
from fdmo_cli.reproduction.definitions import EXPERIMENTS
from fdmo_core.errors import ConfigError
from fdmo_core.experiments import Cell, phase1_lenders
from fdmo_core.registry import Registry


def cells(
    name: str, registry: Registry, *settings: str, plugins: tuple[str, ...] = ()
) -> dict[str, Cell]:
    changes = Changes("garments", plugins, settings)
    return make_cells(EXPERIMENTS[name], registry, changes, seed=3, folder=Path("out"))


def test_a_cell_is_the_preset_with_what_makes_the_cell(registry: Registry) -> None:
    found = cells("table2", registry)

    assert found["focal-real"].folder == Path("out/focal-real")
    run = found["focal-real"].run
    assert run.core.seed == 3
    assert run.core.phase1.batch_size == 256
    assert run.loss.config.name == "focal"
    assert run.rebalancer.config.artificial is False
    assert run.data.config.name == "garments"


def test_the_baseline_has_its_own_preset_and_the_data_of_the_others(registry: Registry) -> None:
    run = cells("table3", registry, "data.largest_class=30")["zhang"].run

    assert run.core.phase1.batch_size == 16
    assert run.rebalancer.config.epochs == 0
    assert run.data.config.largest_class == 30


def test_a_file_of_weights_is_not_for_a_stream_that_starts_anew(registry: Registry) -> None:
    files = [f"{name}_stream.weights_file=vgg16.pth" for name in ("texture", "shape")]

    found = cells("table3", registry, *files)

    given = found["ldam"].run, found["zhang"].run
    assert [one.texture_stream.config.weights_file for one in given] == ["vgg16.pth"] * 2
    assert [one.shape_stream.config.weights_file for one in given] == ["vgg16.pth", ""]


def test_the_command_line_changes_every_cell(registry: Registry) -> None:
    found = cells("table2", registry, "phase1.epochs=1", plugins=("small-vgg",))

    assert {cell.run.core.phase1.epochs for cell in found.values()} == {1}
    assert {cell.run.shape_stream.config.name for cell in found.values()} == {"small-vgg"}


def test_no_change_gives_the_baseline_a_phase_2(registry: Registry) -> None:
    found = cells("table2", registry, "rebalancer.epochs=1")

    assert found["ldam"].run.rebalancer.config.epochs == 1
    assert found["zhang"].run.rebalancer.config.epochs == 0


@pytest.mark.parametrize(
    ("name", "count"),
    [("table2", 2), ("table3", 2), ("table4", 2), ("table5", 1), ("figure2", 1), ("figure4", 1)],
)
def test_an_experiment_needs_so_many_phases_1(name: str, count: int, registry: Registry) -> None:
    lenders = phase1_lenders(list(cells(name, registry).values()))

    assert len({cell.name for cell in lenders.values()}) == count


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("table2", "loss.name=focal"),
        ("table2", "loss.gamma=1"),
        ("table2", "rebalancer.artificial=false"),
        ("table4", "model.auxiliary_classifier=false"),
        ("table5", "generator.artificial_streams=both"),
        ("figure4", "rebalancer.samples_per_class=4"),
        ("figure2", "seed=1"),
    ],
)
def test_a_setting_that_the_rows_vary_is_refused(
    name: str, setting: str, registry: Registry
) -> None:
    with pytest.raises(ConfigError, match=f"^'--set {setting}' changes what the rows of {name} "):
        cells(name, registry, setting)


def test_a_component_that_the_rows_vary_is_refused(registry: Registry) -> None:
    with pytest.raises(ConfigError) as caught:
        cells("table2", registry, plugins=("focal",))

    assert str(caught.value) == (
        "'--plugin focal' changes what the rows of table2 say of themselves. Expected a change "
        "that suits all rows. Leave it out, or train the run that you mean with 'fdmo train "
        "--config deepfashion'."
    )


def test_data_that_is_neither_a_folder_nor_a_name_is_refused(registry: Registry) -> None:
    with pytest.raises(ConfigError) as caught:
        make_cells(EXPERIMENTS["table2"], registry, Changes("nowhere"), seed=0, folder=Path("out"))

    assert str(caught.value).startswith(
        "'nowhere' is neither a folder nor a data set. Expected the folder with the files of "
        "deepfashion, or one of: "
    )


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("table2", "/data/DeepFashion", "runs/reproduce/deepfashion"),
        ("table5", "garments", "runs/reproduce/deepfashion-garments"),
        ("figure4", "garments", "runs/reproduce/deepfashion2-garments"),
    ],
)
def test_experiments_of_one_preset_and_data_set_share_a_folder(
    name: str, data: str, expected: str, registry: Registry
) -> None:
    assert default_folder(EXPERIMENTS[name], registry, Changes(data)) == Path(expected)


def test_what_differs_from_the_paper_is_said(registry: Registry) -> None:
    changes = Changes("garments", ("small-vgg",), ("phase1.epochs=1",))

    assert describe_changes(EXPERIMENTS["table2"], registry, changes) == [
        "The data set here is garments, so the paper's figures say nothing about it.",
        "2 change(s) by --plugin or --set, in every run.",
    ]
    assert describe_changes(EXPERIMENTS["table2"], registry, Changes("/data/files")) == []
