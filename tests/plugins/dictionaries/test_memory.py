import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from fdmo_core import FeatureBatch
from fdmo_core.errors import RunFolderError
from fdmo_core.randomness import rng_for
from fdmo_core.reservoir import priorities
from fdmo_plugins.dictionaries.memory import MemoryDictionary, MemoryDictionaryConfig

SIZES = (12, 5, 0, 2)


def rows() -> FeatureBatch:
    """Return features that say their source and class: source, 10 * class, 0."""
    labels = torch.arange(len(SIZES)).repeat_interleave(torch.tensor(SIZES))
    sources = torch.randperm(len(labels), generator=rng_for(0)) * 3 + 1
    features = torch.stack([sources, 10 * labels, 0 * labels], dim=1).float()
    return FeatureBatch(features, labels, sources)


def empty(*, cap: int = 2000, num_classes: int = 4, seed: int = 0) -> MemoryDictionary:
    config = MemoryDictionaryConfig(max_per_class=cap)
    return MemoryDictionary(config, num_classes=num_classes, stream_dims=(2, 1), seed=seed)


def filled(*, cap: int = 2000) -> MemoryDictionary:
    dictionary = empty(cap=cap)
    dictionary.build([rows()])
    return dictionary


def test_keeps_the_rows_of_lowest_priority_under_the_cap() -> None:
    given = rows()

    dictionary = filled(cap=4)

    expected = []
    for label in range(len(SIZES)):
        sources = given.sources[given.labels == label]
        ranked = sorted(zip(priorities(0, sources).tolist(), sources.tolist(), strict=True))
        expected += sorted(source for _, source in ranked[:4])
    assert dictionary.sources.tolist() == expected
    assert dictionary.class_sizes.tolist() == [4, 4, 0, 2]


def test_rows_are_in_order_of_class_and_then_of_source() -> None:
    dictionary = filled()

    store = dictionary.draw(torch.tensor([0]), samples_per_class=1, rng=rng_for(0)).store
    order = [(row[1], row[0]) for row in store.tolist()]
    assert order == sorted(order)
    assert store[:, 0].tolist() == dictionary.sources.tolist()


def test_reads_a_stream_once_and_lets_go_of_every_part() -> None:
    parts: list[weakref.ref[torch.Tensor]] = []
    alive = []

    def stream() -> Iterator[FeatureBatch]:
        for start in range(0, 2000, 100):
            features = torch.ones(100, 3)
            parts.append(weakref.ref(features))
            yield FeatureBatch(features, torch.zeros(100).long(), torch.arange(start, start + 100))
            alive.append(sum(part() is not None for part in parts))

    dictionary = empty(cap=50)
    dictionary.build(stream())

    assert dictionary.class_sizes.tolist() == [50, 0, 0, 0]
    assert len(alive) == 20
    assert max(alive) <= 2


@pytest.mark.parametrize("samples_per_class", [1, 3, 8])
def test_draws_as_many_distinct_rows_as_a_class_has(samples_per_class: int) -> None:
    drawn = filled().draw(
        torch.tensor([3, 0, 1, 0]), samples_per_class=samples_per_class, rng=rng_for(0)
    )

    for group, label in enumerate([0, 1, 3]):
        own = drawn.rows[group][drawn.mask[group]]
        assert len(own.unique()) == len(own) == min(samples_per_class, SIZES[label])
        assert (drawn.store[drawn.rows[group], 1] == 10 * label).all()
    assert drawn.groups.tolist() == [2, 0, 1, 0]


def test_padding_stands_behind_what_was_drawn() -> None:
    drawn = filled().draw(torch.tensor([3]), samples_per_class=4, rng=rng_for(0))

    assert drawn.mask.tolist() == [[True, True, False, False]]


def test_a_draw_copies_no_feature() -> None:
    dictionary = filled()

    first, second = (
        dictionary.draw(torch.tensor([0]), samples_per_class=2, rng=rng_for(0)) for _ in range(2)
    )

    assert first.store.data_ptr() == second.store.data_ptr()


def test_every_pair_of_a_class_is_drawn_about_as_often() -> None:
    dictionary, rng = filled(), rng_for(0)

    pairs: dict[frozenset[int], int] = {}
    for _ in range(2000):
        drawn = dictionary.draw(torch.tensor([1]), samples_per_class=2, rng=rng)
        pair = frozenset(drawn.rows[0].tolist())
        pairs[pair] = pairs.get(pair, 0) + 1

    assert len(pairs) == 10
    assert min(pairs.values()) > 140  # of 200 expected; 4.5 standard deviations
    assert max(pairs.values()) < 260


def test_samples_are_real_features_of_their_class_about_as_often_each() -> None:
    sampled = filled().sample(torch.full((5000,), 1), rng_for(0))

    assert (sampled[:, 1] == 10).all()
    counts = sampled[:, 0].unique(return_counts=True)[1]
    assert len(counts) == 5
    assert counts.min() > 870  # of 1000 expected; 4.6 standard deviations
    assert counts.max() < 1130


def test_the_saved_files_name_the_source_of_every_row(tmp_path: Path) -> None:
    dictionary = filled()

    dictionary.save(tmp_path)

    tensors = load_file(tmp_path / "features.safetensors")
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert tensors["sources"].tolist() == tensors["features"][:, 0].tolist()
    assert manifest == {"name": "memory", "stream_dims": [2, 1], "class_sizes": list(SIZES)}


def test_a_loaded_dictionary_draws_what_the_saved_one_would_have(tmp_path: Path) -> None:
    dictionary, loaded = filled(), empty(seed=9)
    dictionary.save(tmp_path)

    loaded.load(tmp_path)

    labels = torch.tensor([0, 3])
    one, other = (
        each.draw(labels, samples_per_class=4, rng=rng_for(1)) for each in (dictionary, loaded)
    )
    assert torch.equal(one.store, other.store)
    assert torch.equal(one.rows, other.rows)
    assert torch.equal(one.mask, other.mask)


def test_another_run_s_dictionary_is_refused(tmp_path: Path) -> None:
    filled().save(tmp_path)

    with pytest.raises(RunFolderError) as caught:
        empty(num_classes=5).load(tmp_path)

    assert str(caught.value) == (
        f"The feature dictionary in {tmp_path} has streams [2, 1] and 4 classes. Expected streams "
        f"[2, 1] and 5 classes. Use the run that it belongs to."
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("features.safetensors", b"no tensors"),
        ("manifest.json", b"{"),
        ("manifest.json", b"{}"),
        ("manifest.json", b"\xff"),
    ],
)
def test_a_damaged_dictionary_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    filled().save(tmp_path)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(RunFolderError, match=r"cannot be read: .* Train the run again"):
        empty().load(tmp_path)


def test_a_manifest_that_names_other_rows_than_there_are_is_refused(tmp_path: Path) -> None:
    dictionary = filled()
    dictionary.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["class_sizes"][0] += 1
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(RunFolderError, match=r"names .* rows and holds .* Train the run again"):
        empty().load(tmp_path)


def test_a_missing_dictionary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"Expected manifest\.json and features"):
        empty().load(tmp_path / "nowhere")


def test_a_cap_of_0_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        MemoryDictionaryConfig(max_per_class=0)
