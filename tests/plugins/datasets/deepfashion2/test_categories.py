import pytest

from fdmo_plugins.datasets.deepfashion2.categories import (
    CATEGORIES,
    FIRST_SLOTS,
    MOST_LANDMARKS,
    Category,
    landmark_names,
    mirrored_landmarks,
    mirrored_pairs,
)

# Category id: middle landmarks, which a mirror leaves where they are.
MIDDLE = {
    1: [1, 4, 16], 2: [1, 4, 20], 3: [1], 4: [1], 5: [1, 4, 11], 6: [1, 4, 11], 7: [2, 7],
    8: [2, 9], 9: [2, 6], 10: [1, 4, 18], 11: [1, 4, 22], 12: [1, 4, 13], 13: [1, 4, 13],
}  # fmt: skip


def test_the_landmarks_of_all_categories_are_294() -> None:
    ends = [first + one.num_landmarks for first, one in zip(FIRST_SLOTS, CATEGORIES, strict=True)]

    assert ends == [25, 58, 89, 128, 143, 158, 168, 182, 190, 219, 256, 275, 294]
    assert list(FIRST_SLOTS) == [0, *ends[:-1]]
    assert MOST_LANDMARKS == 39
    assert sum(one.num_items for one in CATEGORIES) == 312_186


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda one: one.name)
def test_pairs_cover_all_but_the_middle_of_a_garment(category: Category) -> None:
    paired = [one for pair in mirrored_pairs(category) for one in pair]

    assert len(set(paired)) == len(paired)
    assert (
        sorted(set(range(1, category.num_landmarks + 1)) - set(paired))
        == MIDDLE[CATEGORIES.index(category) + 1]
    )


def test_open_garments_pair_their_two_fronts() -> None:
    assert mirrored_pairs(CATEGORIES[3])[2:6] == [(4, 34), (7, 33), (8, 32), (9, 31)]
    assert mirrored_pairs(CATEGORIES[3])[-4:] == [(19, 21), (20, 37), (35, 38), (36, 39)]
    assert mirrored_pairs(CATEGORIES[2])[-4:] == [(15, 17), (16, 29), (27, 30), (28, 31)]


def test_slots_of_all_categories_mirror_within_each() -> None:
    pairs = mirrored_landmarks(294)
    names = landmark_names(294)

    assert len({slot for pair in pairs for slot in pair}) == 2 * len(pairs)
    for left, right in pairs:
        assert names[left].rsplit(" ", 1)[0] == names[right].rsplit(" ", 1)[0]
    assert (names[25 + 2 - 1], names[25 + 6 - 1]) == ("long sleeve top 2", "long sleeve top 6")
    assert (25 + 2 - 1, 25 + 6 - 1) in pairs


def test_shared_slots_have_no_pairs() -> None:
    assert mirrored_landmarks(39) == ()
    assert len(landmark_names(39)) == 39
