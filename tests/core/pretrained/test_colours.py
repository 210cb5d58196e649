import pytest

from fdmo_core import ConfigError
from fdmo_core.pretrained.colours import check_colours


@pytest.mark.parametrize("colours", [(), (0.1, 0.2, 0.3)])
def test_three_numbers_each_or_none_are_accepted(colours: tuple[float, ...]) -> None:
    check_colours(colours, colours)


@pytest.mark.parametrize(
    ("mean", "std"), [((0.1, 0.2, 0.3), ()), ((), (1.0, 1.0, 1.0)), ((0.1,), (1.0,))]
)
def test_anything_else_is_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=f"mean has {len(mean)} numbers and std has {len(std)}"):
        check_colours(mean, std)
