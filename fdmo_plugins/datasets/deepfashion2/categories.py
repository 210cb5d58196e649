"""The thirteen categories of DeepFashion2, their landmarks, and which of those a mirror exchanges.

Source: Ge et al. 2019; the counts are those of the released training set.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Literal, NamedTuple

LandmarkSlots = Literal[39, 294]


class Category(NamedTuple):
    """One category; its id is its place in :data:`CATEGORIES`, from 1.

    Attributes:
        name: As in the paper.
        num_landmarks: Landmarks of each item.
        kind: How the landmarks are arranged; ``"open"`` garments have two fronts.
        num_items: Items of the released training set.
    """

    name: str
    num_landmarks: int
    kind: Literal["upper", "open", "lower"]
    num_items: int


CATEGORIES = (
    Category("short sleeve top", 25, "upper", 71_645),
    Category("long sleeve top", 33, "upper", 36_064),
    Category("short sleeve outwear", 31, "open", 543),
    Category("long sleeve outwear", 39, "open", 13_457),
    Category("vest", 15, "upper", 16_095),
    Category("sling", 15, "upper", 1_985),
    Category("shorts", 10, "lower", 36_616),
    Category("trousers", 14, "lower", 55_387),
    Category("skirt", 8, "lower", 30_835),
    Category("short sleeve dress", 29, "upper", 17_211),
    Category("long sleeve dress", 37, "upper", 7_907),
    Category("vest dress", 19, "upper", 17_949),
    Category("sling dress", 19, "upper", 6_492),
)

NAMES = tuple(category.name for category in CATEGORIES)
MOST_LANDMARKS = max(category.num_landmarks for category in CATEGORIES)
FIRST_SLOTS = tuple(accumulate([one.num_landmarks for one in CATEGORIES[:-1]], initial=0))
"""Of each category, where the landmarks of all stand one after the other."""


def landmark_names(slots: LandmarkSlots) -> tuple[str, ...]:
    """Return a name for each slot."""
    if slots == MOST_LANDMARKS:
        return tuple(f"landmark {at}" for at in range(1, slots + 1))
    return tuple(f"{one.name} {at}" for one in CATEGORIES for at in range(1, one.num_landmarks + 1))


def mirrored_pairs(category: Category) -> list[tuple[int, int]]:
    """Return the landmarks of a category that change places in a mirrored image, counted from 1.

    The outline of a garment runs down one side and up the other, so that its first landmark pairs
    with its last. Before it comes the neckline or waistband; after it, for open garments, the
    second front.

    Source: read off the lists of the HRNet for DeepFashion2 (svip-lab), which agree for twelve
    categories. For short sleeve outwear they give 2-26 and 4-6 where the same rule as for long
    sleeve outwear gives 2-6 and 4-26; the rule is followed.
    """
    total = category.num_landmarks
    if category.kind == "lower":
        return [(1, 3), *_outline(4, total)]
    if category.kind == "upper":
        return [(2, 6), (3, 5), *_outline(7, total)]
    last = total - 6
    fronts = [((7 + last) // 2, last + 4), (last + 2, last + 5), (last + 3, last + 6)]
    return [(2, 6), (3, 5), (4, last + 1), *_outline(7, last), *fronts]


def mirrored_landmarks(slots: LandmarkSlots) -> tuple[tuple[int, int], ...]:
    """Return the slots that a mirror exchanges; none with 39, whose pairs differ by category."""
    if slots == MOST_LANDMARKS:
        return ()
    return tuple(
        (first + left - 1, first + right - 1)
        for first, category in zip(FIRST_SLOTS, CATEGORIES, strict=True)
        for left, right in mirrored_pairs(category)
    )


def _outline(first: int, last: int) -> Iterator[tuple[int, int]]:
    return ((first + step, last - step) for step in range((last - first + 1) // 2))
