"""Python's version against the bounds that metadata ask for."""

import pytest

from fdmo_cli.doctor_checks.environment import is_within


@pytest.mark.parametrize("asked", [">=3.11,<3.14", "<3.14, >=3.11"])
@pytest.mark.parametrize(
    ("release", "fits"),
    [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False), ((4, 0), False)],
)
def test_a_python_is_within_both_bounds(release: tuple[int, int], fits: bool, asked: str) -> None:
    assert is_within(release, asked) is fits
