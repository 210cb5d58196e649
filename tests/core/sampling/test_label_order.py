import torch

from fdmo_core.sampling.label_order import counted_labels, drawn_labels


def test_counted_labels_name_every_class_as_often_as_it_is_wanted_in_order() -> None:
    batches = list(counted_labels(torch.tensor([0, 5, 0, 2, 1]), 3))

    assert [batch.tolist() for batch in batches] == [[1, 1, 1], [1, 1, 3], [3, 4]]


def test_nothing_wanted_gives_no_batch() -> None:
    assert list(counted_labels(torch.tensor([0, 0]), 3)) == []


def test_drawn_labels_come_in_proportion_to_what_is_wanted() -> None:
    batches = list(drawn_labels(torch.tensor([0, 300, 100]), 4000, 300, seed=0))

    shares = torch.cat(batches).bincount() / 4000
    assert [len(batch) for batch in batches] == [300] * 13 + [100]
    assert shares[0] == 0
    assert abs(shares[1] - 0.75) < 4 * (0.75 * 0.25 / 4000) ** 0.5


def test_drawn_labels_are_those_of_their_seed() -> None:
    wanted = torch.tensor([5, 5])

    one, same, other = (
        torch.cat(list(drawn_labels(wanted, 100, 10, seed=seed))) for seed in (0, 0, 1)
    )

    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(one[:10], one[10:20])


def test_batches_are_drawn_as_they_are_asked_for() -> None:
    endless = drawn_labels(torch.tensor([1, 1]), 10**15, 4, seed=0)

    assert len(next(endless)) == 4
