import pytest

from fdmo_core.testing import Check, checks_for, dictionaries
from fdmo_core.testing.toys import (
    ToyDictionary,
    ToyDictionaryConfig,
    ToyGenerator,
    ToyGeneratorConfig,
    ToyLoss,
    ToyLossConfig,
)


@pytest.mark.parametrize("check", checks_for("loss"))
def test_the_toy_loss_is_a_correct_loss(check: Check) -> None:
    check(ToyLoss, ToyLossConfig())


@pytest.mark.parametrize("check", checks_for("generator"))
def test_the_toy_generator_is_a_correct_generator(check: Check) -> None:
    check(ToyGenerator, ToyGeneratorConfig())


@pytest.mark.parametrize(
    "check",
    [
        dictionaries.check_counts_what_it_holds,
        dictionaries.check_draws_distinct_rows_of_the_right_class,
        dictionaries.check_gives_real_features,
        dictionaries.check_every_row_can_be_drawn,
        dictionaries.check_repeats_itself,
    ],
)
def test_the_toy_dictionary_is_a_correct_dictionary_without_a_cap(check: Check) -> None:
    check(ToyDictionary, ToyDictionaryConfig())
