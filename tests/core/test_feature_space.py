from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fdmo_core.classifier import LinearClassifier
from fdmo_core.errors import DataError, RunFolderError
from fdmo_core.feature_space import FeatureSpace
from fdmo_core.interfaces import HeldOut, LabelledFeatures
from fdmo_core.testing.toys import STREAM_DIMS, toy_features, toy_held_out

SIZES = (9, 5, 2)


@pytest.fixture
def space() -> FeatureSpace:
    torch.manual_seed(0)
    classifier = LinearClassifier(sum(STREAM_DIMS), len(SIZES))
    train = toy_features(SIZES)
    held = toy_held_out(SIZES, classifier, "out-of-fold")
    splits = {
        "val": LabelledFeatures(*toy_held_out((3, 3, 3), classifier, "validation")[::2]),
        "test": LabelledFeatures(torch.empty(0, sum(STREAM_DIMS)), torch.empty(0).long()),
    }
    return FeatureSpace(
        class_names=("a", "b", "c"),
        class_counts=torch.tensor([90, 5, 2]),
        stream_dims=STREAM_DIMS,
        classifier=classifier,
        train=train,
        splits=splits,
        out_of_fold=HeldOut(held.features, held.logits, train.labels),
    )


def test_what_is_saved_is_what_is_loaded(space: FeatureSpace, tmp_path: Path) -> None:
    space.save(tmp_path)

    loaded = FeatureSpace.load(tmp_path)

    assert (loaded.class_names, loaded.stream_dims) == (space.class_names, space.stream_dims)
    assert torch.equal(loaded.class_counts, space.class_counts)
    assert space.out_of_fold is not None
    assert loaded.out_of_fold is not None
    for ours, theirs in (
        (space.train, loaded.train),
        (space.splits["val"], loaded.splits["val"]),
        (space.splits["test"], loaded.splits["test"]),
        (space.out_of_fold, loaded.out_of_fold),
        (space.classifier.parameters(), loaded.classifier.parameters()),
    ):
        assert all(map(torch.equal, ours, theirs))


def test_a_space_without_folds_is_saved_without_them(space: FeatureSpace, tmp_path: Path) -> None:
    replace(space, out_of_fold=None).save(tmp_path)

    assert FeatureSpace.load(tmp_path).out_of_fold is None


def test_validation_scores_are_those_of_phase_1_s_classifier(space: FeatureSpace) -> None:
    held = space.held_out("validation")

    assert torch.equal(held.logits, space.classifier(space.splits["val"].features))
    assert torch.equal(held.labels, space.splits["val"].labels)
    assert not held.logits.requires_grad


@pytest.mark.parametrize("cross_fitted", [False, True])
def test_rows_for_a_dictionary_keep_their_sources(space: FeatureSpace, cross_fitted: bool) -> None:
    (part,) = space.rows(cross_fitted=cross_fitted)

    assert space.out_of_fold is not None
    wanted = space.out_of_fold.features if cross_fitted else space.train.features
    assert torch.equal(part.features, wanted)
    assert torch.equal(part.sources, space.train.sources)


def test_what_is_not_there_is_named(space: FeatureSpace) -> None:
    bare = replace(space, out_of_fold=None, splits={**space.splits, "val": space.splits["test"]})

    with pytest.raises(DataError, match="no out-of-fold scores"):
        bare.held_out("out-of-fold")
    with pytest.raises(DataError, match="validation split is empty"):
        bare.held_out("validation")


@pytest.mark.parametrize("damage", ["cut", "facts", "missing"])
def test_a_damaged_space_is_refused(space: FeatureSpace, tmp_path: Path, damage: str) -> None:
    space.save(tmp_path)
    tensors = tmp_path / "features.safetensors"
    if damage == "cut":
        tensors.write_bytes(tensors.read_bytes()[:-5])
    elif damage == "facts":
        (tmp_path / "features.json").write_text('{"format": 99}')
    else:
        tensors.unlink()

    with pytest.raises(RunFolderError, match=r"cannot be read: .* Remove the folder"):
        FeatureSpace.load(tmp_path)
