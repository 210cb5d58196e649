"""The next item is made while the last one is used."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from fdmo_core.read_ahead import read_ahead


class Maker:
    """Yields numbers, and knows how many it was asked for and by which threads."""

    def __init__(self, count: int, *, fails_at: int | None = None) -> None:
        self.count = count
        self.fails_at = fails_at
        self.asked = 0
        self.threads = set[str]()

    def __iter__(self) -> Iterator[int]:
        for number in range(self.count):
            self.asked += 1
            self.threads.add(threading.current_thread().name)
            if number == self.fails_at:
                raise ValueError(f"no {number}")
            yield number


def settle(maker: Maker, asked: int) -> None:
    """Wait until the maker was asked so often, and a little longer."""
    deadline = time.monotonic() + 5
    while maker.asked < asked and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)


@pytest.fixture(autouse=True)
def nobody_else_reads() -> None:
    """Let go of what an error of another test still holds: its frames, and a reader in them."""
    gc.collect()


def reading() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("read-ahead")]


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_every_item_comes_once_in_order(count: int) -> None:
    assert list(read_ahead(iter(Maker(count)))) == list(range(count))


@pytest.mark.parametrize("item", [None, 0, "", ()])
def test_items_may_be_false(item: object) -> None:
    assert list(read_ahead(iter([item, item]))) == [item, item]


def test_no_more_than_one_item_is_made_ahead() -> None:
    maker = Maker(10)

    ahead = read_ahead(iter(maker))

    assert maker.asked == 0
    for used in range(1, 5):
        next(ahead)
        settle(maker, used + 1)
        assert maker.asked == used + 1
    assert list(ahead) == [4, 5, 6, 7, 8, 9]


def test_items_are_made_in_one_thread_that_ends_with_them() -> None:
    maker = Maker(10)

    list(read_ahead(iter(maker)))

    (name,) = maker.threads
    assert name.startswith("read-ahead")
    assert reading() == []


def test_an_error_arrives_after_the_items_before_it() -> None:
    ahead = read_ahead(iter(Maker(10, fails_at=2)))

    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(ValueError, match="no 2"):
        next(ahead)
    assert reading() == []


def test_who_stops_early_leaves_no_thread_behind() -> None:
    maker = Maker(10)
    ahead = read_ahead(iter(maker))
    next(ahead)

    ahead.close()  # type: ignore[attr-defined]

    assert reading() == []
    assert maker.asked == 2


def test_making_overlaps_with_using() -> None:
    def slow() -> Iterator[int]:
        for number in range(5):
            time.sleep(0.03)
            yield number

    begin = time.monotonic()
    for _ in read_ahead(slow()):
        time.sleep(0.03)

    assert time.monotonic() - begin < 0.27  # one after the other they take 0.3 s
