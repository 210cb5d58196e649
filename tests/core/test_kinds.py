import inspect

import pytest

from fdmo_core import hookspecs
from fdmo_core.config import Run, RunConfig
from fdmo_core.kinds import KIND_OF_INTERFACE, KIND_OF_SECTION, KINDS, Kind

EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@EVERY_KIND
def test_a_kind_s_hook_exists(kind: Kind) -> None:
    assert callable(getattr(hookspecs, kind.hook))


@EVERY_KIND
def test_a_kind_s_sections_are_tables_of_a_run_that_name_a_component(kind: Kind) -> None:
    for section in kind.sections:
        assert RunConfig.model_fields[section].default.keys() == {"name"}
        assert section in inspect.signature(Run).parameters


@EVERY_KIND
def test_a_kind_s_interface_is_abstract(kind: Kind) -> None:
    assert inspect.isabstract(kind.interface)


def test_kinds_share_nothing() -> None:
    for attribute in ("name", "hook", "interface"):
        assert len({getattr(kind, attribute) for kind in KINDS}) == len(KINDS)


def test_a_kind_is_found_by_its_interface_and_by_each_section() -> None:
    assert list(KIND_OF_INTERFACE.values()) == list(KINDS)
    assert KIND_OF_SECTION["texture_stream"] is KIND_OF_SECTION["shape_stream"]
    assert {kind.name for kind in KIND_OF_SECTION.values()} == {kind.name for kind in KINDS}
