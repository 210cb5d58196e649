import torch

from fdmo_plugins.convexgan.anchors import Anchors

LABELS = torch.tensor([0, 2, 0, 0, 3, 0, 2, 0])  # 5, 0, 2 and 1 rows


def chosen(seed: int = 0) -> Anchors:
    torch.manual_seed(seed)
    anchors = Anchors(num_classes=4, samples_per_class=3)
    anchors.choose(LABELS)
    return anchors


def test_each_class_gets_distinct_rows_of_its_own_up_to_the_number() -> None:
    anchors = chosen()

    for label, size in enumerate((3, 0, 2, 1)):
        rows = anchors.rows[label][anchors.mask[label]].tolist()
        assert len(set(rows)) == len(rows) == size
        assert all(LABELS[row] == label for row in rows)


def test_padding_is_a_row_of_the_class() -> None:
    anchors = chosen()

    assert all(LABELS[row] == 3 for row in anchors.rows[3])


def test_a_sample_gets_the_anchors_of_its_class() -> None:
    anchors, labels = chosen(), torch.tensor([2, 0, 2, 3])

    sets = anchors.sets(labels, torch.zeros(8, 1))

    assert len(sets.rows) == 3
    for label, group in zip(labels.tolist(), sets.groups.tolist(), strict=True):
        assert torch.equal(sets.rows[group], anchors.rows[label])
        assert torch.equal(sets.mask[group], anchors.mask[label])


def test_the_choice_follows_the_seed_and_is_saved() -> None:
    first, again, other = chosen(0), chosen(0), chosen(3)
    assert torch.equal(first.rows, again.rows)
    assert not torch.equal(first.rows, other.rows)

    other.load_state_dict(first.state_dict())

    assert torch.equal(first.rows, other.rows)
