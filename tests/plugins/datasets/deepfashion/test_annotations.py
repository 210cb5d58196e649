from collections.abc import Callable
from pathlib import Path

import pytest

from fdmo_core import DataError, Splits

Load = Callable[..., Splits]
Change = Callable[[Path, str, int, str], None]

TEE, SKIRT, DRESS = (f"img/Plain_{name}/img_00000001.jpg" for name in ("Tee", "Skirt", "Dress"))


def sources(splits: Splits, name: str = "train") -> list[str]:
    split = splits.named()[name]
    return [split.source(at) for at in range(len(split.labels))]


FAULTS = [
    ("Anno/list_category_img.txt", 3, f"{TEE} 51", "The category is 51. Expected an id from 1"),
    ("Anno/list_category_img.txt", 3, f"{TEE} 0", "The category is 0. Expected an id from 1"),
    ("Anno/list_category_img.txt", 3, f"{TEE} x", "The row is 'img/Plain_Tee/img_00000001.jpg x'."),
    ("Anno/list_category_img.txt", 3, f"{TEE} 1 2", "The row is"),
    ("Anno/list_category_img.txt", 3, f"{TEE} {10**30}", "The row is"),
    ("Anno/list_category_img.txt", 3, f"{TEE} {-(2**63)}", "The category is -9223372036854775808."),
    ("Anno/list_bbox.txt", 3, TEE, "The row is"),
    ("Anno/list_bbox.txt", 3, f"{TEE} 1 2 3 4 5", "The row is"),
    ("Anno/list_bbox.txt", 3, f"{TEE} 1 2 3 4.5", "The row is"),
    ("Anno/list_bbox.txt", 3, f"{TEE} 5 2 5 9", "The box is 5, 2, 5, 9. Expected left < right"),
    ("Anno/list_bbox.txt", 3, f"{TEE} -9 2 -5 9", "The box is -9, 2, -5, 9. Expected left < right"),
    ("Anno/list_landmarks.txt", 3, f"{TEE} 1 0 1 2", "The row is"),
    ("Anno/list_landmarks.txt", 3, f"{TEE} 1" + " 0 1 2" * 8, "The clothes type is 1 and the vis"),
    ("Anno/list_landmarks.txt", 3, f"{TEE} 1" + " 3 1 2" * 6, "The clothes type is 1 and the vis"),
    ("Anno/list_landmarks.txt", 3, f"{TEE} 1" + " 0 9000 2" * 6, "A landmark is at 9000, 2, far"),
    ("Eval/list_eval_partition.txt", 3, f"{TEE} dev", "The row is"),
]


@pytest.mark.parametrize(("path", "line", "text", "reason"), FAULTS)
def test_an_image_with_a_faulty_row_is_left_out_and_reported(
    path: str, line: int, text: str, reason: str, root: Path, load: Load, change: Change
) -> None:
    change(root, "Eval/list_eval_partition.txt", 5, f"{DRESS} train")
    change(root, path, line, text)

    splits = load(root, max_unreadable_share=0.4)

    faults = {at: why for at, why in splits.skipped.items() if not at.startswith("category")}
    assert list(faults) == [f"{path} line {line}"]
    assert reason in faults[f"{path} line {line}"]
    assert sources(splits) == [SKIRT, DRESS]
    with pytest.raises(DataError, match=r"of 3 images or items have 1 faults\. Expected at most"):
        load(root)


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/secret.jpg", "img/../../secret.jpg", 40 * "a/" + "b.jpg"]
)
def test_paths_that_leave_the_folder_are_refused(
    name: str, root: Path, load: Load, change: Change
) -> None:
    for path in ("Anno/list_category_img.txt", "Anno/list_bbox.txt", "Anno/list_landmarks.txt"):
        line = (root / path).read_text().splitlines()[4]
        change(root, path, 5, line.replace(DRESS, name))
    change(root, "Eval/list_eval_partition.txt", 5, f"{name} train")

    splits = load(root, max_unreadable_share=1)

    assert splits.skipped["Anno/list_category_img.txt line 5"] == (
        f"Image '{name}': The path leaves data.root. Expected one such as 'img/...'."
    )
    assert sources(splits) == [TEE, SKIRT]


def test_a_listed_image_that_is_missing_is_reported(root: Path, load: Load) -> None:
    (root / DRESS).unlink()

    splits = load(root, max_unreadable_share=1)

    assert splits.skipped["Anno/list_category_img.txt line 5"] == (
        f"Image '{DRESS}': There is no such image. Expected the file that the annotations list."
    )


def test_an_image_in_one_list_only_is_reported_once(root: Path, load: Load, change: Change) -> None:
    change(root, "Anno/list_bbox.txt", 5, "img/Other/img_00000001.jpg 1 2 3 4")

    faults = load(root, max_unreadable_share=1).skipped

    assert faults["Anno/list_bbox.txt line 5"] == (
        "Image 'img/Other/img_00000001.jpg' is not in Anno/list_category_img.txt. Expected the "
        "same images in all lists."
    )
    assert faults["Anno/list_category_img.txt line 5"] == (
        f"Image '{DRESS}' has 0 rows in Anno/list_bbox.txt. Expected one."
    )
    assert sum(not place.startswith("category") for place in faults) == 2


def test_an_image_that_is_listed_twice_is_left_out(root: Path, load: Load, change: Change) -> None:
    change(root, "Anno/list_category_img.txt", 5, f"{DRESS} 41\n{DRESS} 40")

    splits = load(root, max_unreadable_share=1)

    assert splits.skipped["Anno/list_category_img.txt line 6"] == (
        f"Image '{DRESS}': It is listed twice."
    )
    assert sources(splits, "test") == []


def test_a_wrong_count_in_the_first_line_is_reported(
    root: Path, load: Load, change: Change
) -> None:
    change(root, "Anno/list_bbox.txt", 1, "4")

    assert load(root, max_unreadable_share=1).skipped["Anno/list_bbox.txt line 1"] == (
        "The first line says 4 rows, and 3 follow. Expected as many as it says; the download may "
        "have been cut short."
    )


def test_a_byte_order_mark_and_windows_line_ends_are_taken(root: Path, load: Load) -> None:
    before = load(root)
    for file in (root / "Anno").iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))

    assert load(root).digest == before.digest


def test_a_row_in_another_encoding_is_reported(root: Path, load: Load) -> None:
    file = root / "Anno" / "list_bbox.txt"
    file.write_bytes(file.read_bytes().replace(b"Plain_Dress", b"Plain_Dr\xe9ss"))

    reason = load(root, max_unreadable_share=1).skipped["Anno/list_bbox.txt line 5"]

    assert reason.startswith("The row is 'img/Plain_Dr\\xe9ss/img_00000001.jpg 003 004 015 016'.")
    assert reason.endswith("in UTF-8.")


@pytest.mark.parametrize("content", ["", "three\nimage_name x", "3\nimg/a.jpg 3", "\udcff\udcfe3"])
def test_a_file_that_is_no_list_is_an_error(content: str, root: Path, load: Load) -> None:
    (root / "Anno/list_bbox.txt").write_text(content, encoding="utf-8", errors="surrogateescape")

    with pytest.raises(DataError, match=r"list_bbox\.txt' begins with the lines .* Expected the n"):
        load(root)


def test_a_list_of_categories_without_the_empty_ones_is_an_error(root: Path, load: Load) -> None:
    file = root / "Anno" / "list_category_cloth.txt"
    file.write_text(file.read_text().replace("Cape   3\n", ""))

    with pytest.raises(DataError, match=r"has 49 usable rows\. .*Expected 50 different categories"):
        load(root)


def test_a_path_of_thousands_of_folders_is_one_fault(
    root: Path, load: Load, change: Change
) -> None:
    change(root, "Anno/list_category_img.txt", 5, "a/" * 3000 + "b.jpg 3")

    faults = load(root, max_unreadable_share=1).skipped

    assert "The path leaves data.root." in faults["Anno/list_category_img.txt line 5"]
    assert len(faults["Anno/list_category_img.txt line 5"]) < 300
