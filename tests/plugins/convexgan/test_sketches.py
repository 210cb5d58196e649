import pytest
import torch
from torch import Tensor

from fdmo_core import LabelledFeatures
from fdmo_core.randomness import rng_for
from fdmo_plugins.convexgan.sketches import ClassSketch

STREAM_DIMS, LABELS = (2, 3), torch.tensor([0, 1, 1, 0, 0, 3])


def features() -> Tensor:
    return torch.randn(len(LABELS), 5, generator=rng_for(0)) + 3 * LABELS.unsqueeze(1)


def sketched(given: Tensor, sketch_dim: int = 4) -> Tensor:
    real = LabelledFeatures(given, LABELS)
    return ClassSketch(stream_dims=STREAM_DIMS, sketch_dim=sketch_dim).fit(real)


def test_a_sketch_is_the_projected_place_in_the_class_written_as_loops() -> None:
    given, rows = features().tolist(), range(len(LABELS))
    expected = [[0.0] * 8 for _ in rows]
    for stream, (start, end) in enumerate(((0, 2), (2, 5))):
        directions = torch.randn(end - start, 4, generator=rng_for(0, "sketch", stream)).tolist()
        for p in range(4):
            shadow = [
                sum(given[row][start + d] * directions[d][p] for d in range(end - start))
                for row in rows
            ]
            means = {
                label: sum(shadow[row] for row in rows if LABELS[row] == label)
                / sum(1 for row in rows if LABELS[row] == label)
                for label in LABELS.tolist()
            }
            apart = [shadow[row] - means[int(LABELS[row])] for row in rows]
            deviation = (sum(one**2 for one in apart) / len(LABELS)) ** 0.5
            for row in rows:
                expected[row][4 * stream + p] = apart[row] / deviation

    for found, line in zip(sketched(features()).tolist(), expected, strict=True):
        assert found == pytest.approx(line, abs=1e-4)


def test_where_a_class_lies_and_the_scale_of_features_play_no_part() -> None:
    moved = 100 * (features() + 7 * LABELS.unsqueeze(1))

    assert torch.allclose(sketched(features()), sketched(moved), atol=1e-3)


def test_sketches_are_the_same_in_every_run() -> None:
    torch.manual_seed(1)
    first = sketched(features())
    torch.manual_seed(2)

    assert torch.equal(first, sketched(features()))


def test_a_row_that_is_alone_in_its_class_has_nothing_to_tell() -> None:
    assert not sketched(features())[5].any()


def test_constant_features_give_zeros() -> None:
    assert not sketched(torch.ones(len(LABELS), 5)).any()


def test_sketches_keep_distances_within_a_class() -> None:
    given = torch.randn(6, 5, generator=rng_for(1))
    labels = torch.zeros(6, dtype=torch.int64)

    sketch = ClassSketch(stream_dims=(5,), sketch_dim=4000)
    sketches = sketch.fit(LabelledFeatures(given, labels))

    ratios = torch.pdist(sketches) / torch.pdist(given)
    assert ratios.max() / ratios.min() < 1.3  # coordinates are rescaled one by one


def test_a_drawn_set_has_the_sketches_that_its_rows_got_in_the_dictionary() -> None:
    sketch = ClassSketch(stream_dims=STREAM_DIMS, sketch_dim=4)
    known = sketch.fit(LabelledFeatures(features(), LABELS))
    rows = torch.tensor([[0, 3], [1, 2], [5, 5], [4, 0]])

    found = sketch(features()[rows], LABELS[rows[:, 0]])

    torch.testing.assert_close(found, known[rows], rtol=0, atol=1e-5)


def test_no_checkpoint_holds_a_sketch() -> None:
    sketch = ClassSketch(stream_dims=STREAM_DIMS, sketch_dim=4)
    sketch.fit(LabelledFeatures(features(), LABELS))

    assert not sketch.state_dict()
