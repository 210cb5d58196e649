"""A dictionary that is built in parts, by a run that was stopped, is the one of a single build."""

import signal
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch

from fdmo_core.checkpoint import CheckpointConfig
from fdmo_core.dictionary_progress import DictionaryProgress
from fdmo_core.interfaces import FeatureBatch
from fdmo_core.journal import Journal
from fdmo_core.stopping import Interrupted, StopRequest
from fdmo_core.testing.toys import STREAM_DIMS, ToyDictionary, ToyDictionaryConfig, toy_features

GIVEN = toy_features([6, 3, 1])
BATCHES = [FeatureBatch(*columns) for columns in zip(*(one.split(2) for one in GIVEN), strict=True)]


def empty() -> ToyDictionary:
    return ToyDictionary(ToyDictionaryConfig(), num_classes=3, stream_dims=STREAM_DIMS, seed=0)


def progress_of(
    folder: Path, *, steps: int = 2, processes: int = 1, stop: StopRequest | None = None
) -> DictionaryProgress:
    config = CheckpointConfig(steps=steps)
    return DictionaryProgress(folder / "d.safetensors", config, processes=processes, stop=stop)


def build(progress: DictionaryProgress, *, dies_before: int = 99) -> tuple[ToyDictionary, int]:
    """Build as phase 2 does; return the dictionary and how many batches were asked for."""
    held, asked = progress.load(Journal()), 0

    def batches() -> Iterator[FeatureBatch]:
        nonlocal asked
        for index, one in enumerate(BATCHES[progress.done :], progress.done):
            if index == dies_before:
                raise RuntimeError("killed")
            asked += 1
            yield one

    left = batches()
    while not progress.is_whole:
        dictionary = empty()
        dictionary.build(chain(held, progress.until_due(left)))
        held = list(dictionary.rows())
        if not progress.is_whole:
            progress.keep(dictionary)
    return dictionary, asked


def same(found: ToyDictionary) -> bool:
    (rows,) = found.rows()
    return all(map(torch.equal, rows, GIVEN))


def test_parts_make_the_whole(tmp_path: Path) -> None:
    found, asked = build(progress_of(tmp_path))

    assert same(found)
    assert asked == len(BATCHES)


def test_a_build_that_died_goes_on_from_what_was_kept(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        build(progress_of(tmp_path), dies_before=3)

    found, asked = build(progress_of(tmp_path))

    assert same(found)
    assert asked == len(BATCHES) - 2


def test_a_run_that_is_asked_to_stop_keeps_what_it_has(tmp_path: Path) -> None:
    stop = StopRequest()
    stop.receive(signal.SIGTERM, None)
    with pytest.raises(Interrupted, match=r"SIGTERM after 1 batches of the dictionary\."):
        build(progress_of(tmp_path, steps=0, stop=stop))

    found, asked = build(progress_of(tmp_path, steps=0))

    assert same(found)
    assert asked == len(BATCHES) - 1


def test_within_the_interval_nothing_is_written(tmp_path: Path) -> None:
    build(progress_of(tmp_path, steps=0))

    assert list(tmp_path.iterdir()) == []


def test_without_a_file_there_is_one_build() -> None:
    found, asked = build(DictionaryProgress(config=CheckpointConfig(steps=1)))

    assert same(found)
    assert asked == len(BATCHES)


def test_the_share_of_other_processes_is_not_taken_for_this_one(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        build(progress_of(tmp_path), dies_before=3)

    assert build(progress_of(tmp_path, processes=2))[1] == len(BATCHES)


def test_a_damaged_file_is_told_and_nothing_is_taken_from_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        build(progress_of(tmp_path), dies_before=3)
    file = tmp_path / "d.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    said: list[str] = []

    assert progress_of(tmp_path).load(Journal(say=said.append)) == []

    assert len(said) == 1
    assert said[0].startswith(f"{file} cannot be read: ")
    assert said[0].endswith("The dictionary is built anew.")
