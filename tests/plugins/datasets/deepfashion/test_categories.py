from fdmo_plugins.datasets.deepfashion.categories import (
    CATEGORIES,
    FULL,
    LANDMARK_NAMES,
    LOWER,
    NUM_CATEGORIES,
    SLOTS_OF_TYPE,
    UPPER,
)


def test_ids_and_types_are_those_of_the_files() -> None:
    assert len(CATEGORIES) == NUM_CATEGORIES
    assert [CATEGORIES[at - 1].name for at in (1, 3, 5, 20, 21, 36, 37, 50)] == [
        "Anorak", "Blouse", "Button-Down", "Turtleneck", "Capris", "Trunks", "Caftan", "Sundress"
    ]  # fmt: skip
    assert [one.clothes_type for one in CATEGORIES] == [UPPER] * 20 + [LOWER] * 16 + [FULL] * 14


def test_four_categories_are_empty_and_the_images_sum_up() -> None:
    empty = [one.name for one in CATEGORIES if not one.num_images]

    assert empty == ["Cape", "Nightdress", "Shirtdress", "Sundress"]
    assert sum(one.num_images for one in CATEGORIES) == 289_222


def test_each_type_has_the_landmarks_of_its_parts() -> None:
    parts = {
        of_type: [LANDMARK_NAMES[slot].split()[1] for slot in slots[::2]]
        for of_type, slots in SLOTS_OF_TYPE.items()
    }

    assert parts == {
        UPPER: ["collar", "sleeve", "hem"],
        LOWER: ["waistline", "hem"],
        FULL: ["collar", "sleeve", "waistline", "hem"],
    }
