"""Any table of settings is a run, or is refused with a line for each problem."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fdmo_core.config import RunConfig, resolve_run
from fdmo_core.errors import ConfigError
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry

REGISTRY = Registry(load_plugins())
DEFAULTS = resolve_run({}, REGISTRY).as_dict()
KEYS = sorted(
    {key for section in DEFAULTS.values() if isinstance(section, dict) for key in section}
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from([one.name for one in REGISTRY.components()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
SECTIONS = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=6), VALUES, max_size=4)
CONFIGS = st.dictionaries(
    st.sampled_from(sorted(RunConfig.model_fields)) | st.text(max_size=6),
    SECTIONS | VALUES,
    max_size=4,
)


@given(content=CONFIGS)
@settings(max_examples=200, derandomize=True, deadline=None, database=None)
def test_any_settings_are_a_run_or_refused(content: dict[str, Any]) -> None:
    try:
        run = resolve_run(content, REGISTRY)
    except ConfigError:
        return
    assert resolve_run(run.as_dict(), REGISTRY).as_dict() == run.as_dict()


@given(
    section=st.sampled_from(sorted(key for key in DEFAULTS if isinstance(DEFAULTS[key], dict))),
    value=VALUES,
    data=st.data(),
)
@settings(max_examples=200, derandomize=True, deadline=None, database=None)
def test_one_wrong_value_is_named(section: str, value: Any, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(DEFAULTS[section])))

    content = {section: {**DEFAULTS[section], key: value}}
    told = ""
    try:
        run = resolve_run(content, REGISTRY)
    except ConfigError as error:
        told = str(error)

    if told:
        assert section in told
    else:
        assert run.as_dict()[section][key] is not None
