"""What every feature dictionary must do."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fdmo_core.errors import RunFolderError
from fdmo_core.interfaces import DrawnFeatures, FeatureBatch, FeatureDictionary
from fdmo_core.randomness import rng_for
from fdmo_core.testing.expectations import (
    Check,
    expect,
    expect_built,
    expect_no_global_randomness,
    expect_tensor,
)
from fdmo_core.testing.toys import STREAM_DIMS, toy_features

READ, DRAW = "FeatureDictionary", "FeatureDictionary.draw"
SIZES = (30, 6, 0, 2)  # with a class that has no image
LABELS = (0, 3, 1, 3, 0)
CAP = 5
DRAWS = 200  # after which a row of 30 is missed by a uniform draw of 4 with a chance of 1e-12


def check_is_built_from_streams_and_classes(component: type[Any], config: Any) -> None:
    """It is constructed from its config, the classes, the streams and the seed."""
    facts = {"num_classes": len(SIZES), "stream_dims": STREAM_DIMS, "seed": 0}
    expect_built(component, FeatureDictionary, config, **facts)
    expect(
        isinstance(getattr(config, "max_per_class", None), int),
        f"{type(config).__name__} has no integer 'max_per_class'. Expected the cap in the config.",
        read=READ,
    )


def check_counts_what_it_holds(component: type[Any], config: Any) -> None:
    """Below the cap it holds every row once, with its source; a class may have none."""
    dictionary, given = dictionary_of(component, config), toy_features(SIZES)
    expect_tensor(dictionary.class_sizes, (len(SIZES),), torch.int64, what="class_sizes", read=READ)
    expect(
        dictionary.class_sizes.tolist() == list(SIZES),
        f"After {list(SIZES)} rows class_sizes is {dictionary.class_sizes.tolist()}. Expected "
        f"the same, one number a class.",
        read="FeatureDictionary.class_sizes",
    )
    expect_tensor(dictionary.sources, (sum(SIZES),), torch.int64, what="sources", read=READ)
    expect(
        dictionary.sources.sort().values.tolist() == given.sources.tolist(),
        "The sources are not those of the rows that were given. Expected each once.",
        read="FeatureDictionary.sources",
    )


def check_keeps_to_the_cap(component: type[Any], config: Any) -> None:
    """Of each class it holds at most max_per_class rows, and all where there are fewer."""
    sizes = dictionary_of(component, capped(config)).class_sizes.tolist()
    expected = [min(size, CAP) for size in SIZES]
    expect(
        sizes == expected,
        f"With max_per_class = {CAP}, rows {list(SIZES)} leave {sizes}. Expected {expected}.",
        read=READ,
    )


def check_does_not_depend_on_the_order(component: type[Any], config: Any) -> None:
    """In whatever order and parts the rows arrive, the same rows are kept, and another seed's."""
    small = capped(config)
    held = (
        dictionary_of(component, small),
        dictionary_of(component, small, part=1),
        dictionary_of(component, small, part=7, reverse=True),
        dictionary_of(component, small, seed=1),
    )
    kept = [one.sources.sort().values.tolist() for one in held]
    expect(
        kept[0] == kept[1] == kept[2],
        f"The rows that are kept under a cap depend on the order or the parts in which they "
        f"arrive: sources {kept[0]}, {kept[1]}, {kept[2]}. Expected the seed and the sources to "
        f"decide; fdmo_core.reservoir does that.",
        read="FeatureDictionary",
    )
    expect(
        kept[0] != kept[3],
        "Two seeds keep the same rows under a cap. Expected a random choice by the seed.",
        read=READ,
    )


def check_draws_distinct_rows_of_the_right_class(component: type[Any], config: Any) -> None:
    """A draw gives each class its set of distinct rows, and says what is padding."""
    drawn = draw_of(dictionary_of(component, config), samples_per_class=4)
    label_of = _labels_of(drawn.store)
    num_groups = len(set(LABELS))
    for name, dtype in (("rows", torch.int64), ("mask", torch.bool)):
        expect_tensor(getattr(drawn, name), (num_groups, 4), dtype, what=name, read="DrawnFeatures")
    expect_tensor(drawn.groups, (len(LABELS),), torch.int64, what="groups", read="DrawnFeatures")
    expect(
        (drawn.rows >= 0).all() and (drawn.rows < len(drawn.store)).all(),
        f"rows holds {drawn.rows.min()} to {drawn.rows.max()} in a store of {len(drawn.store)} "
        f"rows. Expected valid rows, as padding too.",
        read="DrawnFeatures",
    )
    for label, group in zip(LABELS, drawn.groups.tolist(), strict=True):
        rows, wanted = drawn.rows[group][drawn.mask[group]].tolist(), min(SIZES[label], 4)
        expect(
            len(rows) == len(set(rows)) == wanted,
            f"A draw of 4 for class {label} with {SIZES[label]} rows gives the rows {rows}. "
            f"Expected {wanted} distinct ones; the mask is False for the others.",
            read=DRAW,
        )
        found = {label_of[row] for row in rows}
        expect(
            found == {label},
            f"The set of class {label} has rows of the classes {sorted(found)}. Expected rows of "
            f"the class alone.",
            read=DRAW,
        )


def check_gives_real_features(component: type[Any], config: Any) -> None:
    """Drawn and sampled features are those of the source that the dictionary names."""
    dictionary, given = dictionary_of(component, config), toy_features(SIZES)
    drawn = draw_of(dictionary, samples_per_class=4)
    row_of = {source: row for row, source in enumerate(given.sources.tolist())}
    real = given.features[[row_of[source] for source in dictionary.sources.tolist()]]
    expect(
        torch.equal(drawn.store.cpu(), real),
        "A row of the store is not the feature of its source. Expected sources in the order of "
        "the store's rows, and features without change.",
        read="FeatureDictionary.sources",
    )
    store = dictionary.store
    expect(
        torch.equal(store.features.cpu(), drawn.store.cpu())
        and torch.equal(store.labels.cpu().bincount(minlength=len(SIZES)), dictionary.class_sizes)
        and all(
            int(given.labels[row_of[source]]) == label
            for source, label in zip(
                dictionary.sources.tolist(), store.labels.tolist(), strict=True
            )
        ),
        "The store is not what is drawn from, or has other labels than its sources. Expected the "
        "rows that DrawnFeatures.rows counts, with their classes.",
        read="FeatureDictionary.store",
    )
    sampled = dictionary.sample(torch.tensor(LABELS), rng_for(0, "sample"))
    expect_tensor(sampled, (len(LABELS), sum(STREAM_DIMS)), torch.float32, what="sample", read=READ)
    for label, feature in zip(LABELS, sampled, strict=True):
        expect(
            (feature == given.features[given.labels == label]).all(dim=1).any(),
            f"sample() gives something else than a row of class {label}. Expected a real feature.",
            read="FeatureDictionary.sample",
        )


def check_every_row_can_be_drawn(component: type[Any], config: Any) -> None:
    """Over many draws, and over many samples, each row of a class comes up."""
    dictionary = dictionary_of(component, config)
    drawn = [draw_of(dictionary, samples_per_class=4, seed=seed) for seed in range(DRAWS)]
    rows = {row for one in drawn for row in one.rows[one.mask].tolist()}
    wanted = {row for row, label in enumerate(_labels_of(drawn[0].store)) if label in LABELS}
    expect(
        rows == wanted,
        f"In {DRAWS} draws of 4 rows, {len(wanted - rows)} rows never come up. Expected a uniform "
        f"draw.",
        read=DRAW,
    )
    sampled = dictionary.sample(torch.zeros(4 * DRAWS, dtype=torch.int64), rng_for(0, "sample"))
    expect(
        len(sampled.unique(dim=0)) == SIZES[0],
        f"{4 * DRAWS} samples of a class with {SIZES[0]} rows show "
        f"{len(sampled.unique(dim=0))} of them. Expected a uniform draw.",
        read="FeatureDictionary.sample",
    )


def check_repeats_itself(component: type[Any], config: Any) -> None:
    """The generator that is passed in decides what is drawn, and nothing else."""
    dictionary = dictionary_of(component, config)
    with expect_no_global_randomness("The dictionary", read=READ):
        first = draw_of(dictionary, samples_per_class=4)
        sampled = dictionary.sample(torch.tensor(LABELS), rng_for(0, "sample"))
    again = dictionary.sample(torch.tensor(LABELS), rng_for(0, "sample"))
    expect(
        _equal(first, draw_of(dictionary, samples_per_class=4)) and torch.equal(sampled, again),
        "Two draws with generators of one seed differ. Expected the same rows.",
        read=DRAW,
    )


def check_is_built_from_the_rows_of_others(component: type[Any], config: Any) -> None:
    """Two that saw a half each, merged by their rows, hold what one that saw all would hold."""
    small, given = capped(config), toy_features(SIZES)
    halves = [empty_dictionary(component, small), empty_dictionary(component, small)]
    for index, half in enumerate(halves):
        half.build([FeatureBatch(*(column[index::2] for column in given))])
    merged = empty_dictionary(component, small)
    merged.build(part for half in halves for part in half.rows())
    expect(
        _equal(
            draw_of(merged, samples_per_class=4),
            draw_of(dictionary_of(component, small), samples_per_class=4),
        ),
        "A dictionary that is built from the rows of two others, which saw one half of the data "
        "each, draws other rows than one that saw all. Expected the same: processes share the "
        "work that way.",
        read="FeatureDictionary.rows",
    )


def check_saves_and_loads(component: type[Any], config: Any) -> None:
    """What was saved is loaded again, bit for bit; a damaged or another run's is refused."""
    dictionary = dictionary_of(component, config)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dictionary.save(folder)
        loaded = empty_dictionary(component, config, seed=1)
        loaded.load(folder)
        before, after = (draw_of(one, samples_per_class=4) for one in (dictionary, loaded))
        expect(
            _equal(before, after) and torch.equal(dictionary.sources, loaded.sources),
            "A loaded dictionary draws other rows, or names other sources. Expected the same.",
            read="FeatureDictionary.load",
        )
        for facts in ({"num_classes": len(SIZES) + 1}, {"stream_dims": STREAM_DIMS[::-1]}):
            _expect_refused(empty_dictionary(component, config, **facts), folder, str(facts))
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            _expect_refused(empty_dictionary(component, config), folder, f"{path.name} cut short")
            path.write_bytes(whole)
        _expect_refused(empty_dictionary(component, config), folder / "nowhere", "a missing folder")


def _expect_refused(dictionary: FeatureDictionary, folder: Path, why: str) -> None:
    try:
        dictionary.load(folder)
    except RunFolderError:
        return
    except Exception as error:
        found = f"raises {type(error).__name__}"
    else:
        found = "goes unnoticed"
    expect(
        False,
        f"Loading a dictionary that does not fit ({why}) {found}. Expected a RunFolderError.",
        read="FeatureDictionary.load",
    )


def empty_dictionary(component: type[Any], config: Any, **facts: Any) -> FeatureDictionary:
    """Return a dictionary before it is filled."""
    usual = {"num_classes": len(SIZES), "stream_dims": STREAM_DIMS, "seed": 0}
    dictionary: FeatureDictionary = component(config, **(usual | facts))
    return dictionary


def dictionary_of(
    component: type[Any], config: Any, *, part: int = 16, reverse: bool = False, seed: int = 0
) -> FeatureDictionary:
    """Return a dictionary that was filled in parts."""
    dictionary = empty_dictionary(component, config, seed=seed)
    given = toy_features(SIZES)
    if reverse:
        given = FeatureBatch(*(column.flip(0) for column in given))
    dictionary.build(_parts(given, part))
    return dictionary


def _parts(given: FeatureBatch, size: int) -> Iterator[FeatureBatch]:
    for columns in zip(*(column.split(size) for column in given), strict=True):
        yield FeatureBatch(*columns)


def capped(config: Any) -> Any:
    """Return the config with a cap below the largest class."""
    return config.model_copy(update={"max_per_class": CAP})


def draw_of(
    dictionary: FeatureDictionary, *, samples_per_class: int, seed: int = 0
) -> DrawnFeatures:
    """Return what is drawn under a seed."""
    labels = torch.tensor(LABELS)
    return dictionary.draw(labels, samples_per_class=samples_per_class, rng=rng_for(seed, "draw"))


def _labels_of(store: Tensor) -> Sequence[int]:
    """Return the class of each row of a store, by its feature."""
    given = toy_features(SIZES)
    equal = (store.cpu().unsqueeze(1) == given.features).all(dim=2)  # (N, N')
    return [int(given.labels[line][0]) if line.any() else -1 for line in equal]


def _equal(one: DrawnFeatures, other: DrawnFeatures) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("store", "rows", "mask", "groups")
    )


CHECKS: tuple[Check, ...] = (
    check_is_built_from_streams_and_classes,
    check_counts_what_it_holds,
    check_keeps_to_the_cap,
    check_does_not_depend_on_the_order,
    check_draws_distinct_rows_of_the_right_class,
    check_gives_real_features,
    check_every_row_can_be_drawn,
    check_repeats_itself,
    check_is_built_from_the_rows_of_others,
    check_saves_and_loads,
)
