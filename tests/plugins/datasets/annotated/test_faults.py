import pytest

from fdmo_core import DataError
from fdmo_plugins.datasets.annotated.faults import Faults, shown


def test_few_faults_stop_nothing() -> None:
    faults = Faults({"a line 3": "It is odd."})

    faults.require_few(100, max_share=0.01)


def test_too_many_faults_are_an_error_that_names_the_first() -> None:
    faults = Faults({f"a line {number}": "It is odd." for number in range(7)})

    with pytest.raises(DataError) as caught:
        faults.require_few(600, max_share=0.01)

    summary, *named = str(caught.value).splitlines()
    assert summary == (
        "The annotations of 600 images or items have 7 faults. Expected at most a share of 0.01. "
        "Correct the files or data.root, or raise data.max_unreadable_share. The first of them:"
    )
    assert named == [f"a line {number}: It is odd." for number in range(5)]


def test_the_first_fault_of_a_place_is_kept() -> None:
    faults = Faults()
    faults.add("a", "one", image="x.jpg")
    faults.update([("a", "two"), ("b", "three")])

    assert faults.reasons == {"a": "one", "b": "three"}
    assert faults.images == {"x.jpg"}


def test_values_are_shown_in_part_and_as_text() -> None:
    assert shown(b"caf\xe9") == "caf\\xe9"
    assert shown([1, "a"]) == "[1, 'a']"
    assert shown(b"a" * 101) == "a" * 100 + "..."
