"""Has the next item made while the last one is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

ItemT = TypeVar("ItemT")


def read_ahead(items: Iterator[ItemT]) -> Iterator[ItemT]:
    """Yield the items in order, each made in a thread of its own while the one before is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        ahead = pool.submit(_next, items)
        while one := ahead.result():
            ahead = pool.submit(_next, items)
            yield one[0]


def _next(items: Iterator[ItemT]) -> tuple[ItemT] | None:
    for item in items:
        return (item,)
    return None
