import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from fdmo_core import ComponentConfig, ConfigError, Loss, hookimpl
from fdmo_core.config import (
    MAX_CONFIG_BYTES,
    Run,
    RunConfig,
    json_schema,
    read_toml,
    resolve_run,
)
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.plugin_loading import LoadedPlugins, PluginFailure, load_plugins
from fdmo_core.registry import Registry
from fdmo_plugins.losses.focal import FocalLoss, FocalLossConfig

REGISTRY = Registry(load_plugins())

POSITIVE = st.floats(min_value=1e-300, max_value=1e300)
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "data": st.one_of(
            st.builds(lambda size: {"name": "garments", "image_size": size}, st.integers(16, 1024)),
            st.builds(lambda root: {"name": "folder", "root": root}, st.text()),
            st.builds(
                lambda profile: {"name": "fashion-mnist", "profile": profile},
                st.sampled_from(["gamo", "exponential", "step", "full"]),
            ),
        ),
        "texture_stream": st.builds(
            lambda channels: {"name": "small-vgg", "channels": channels},
            st.lists(st.integers(1, 999), min_size=1, max_size=5),
        ),
        "model": st.fixed_dictionaries({"auxiliary_classifier": st.booleans()}),
        "generator": st.builds(
            lambda rate, tied: {"name": "convexgan", "learning_rate": rate, "tie_streams": tied},
            POSITIVE,
            st.booleans(),
        ),
        "loss": st.builds(lambda gamma: {"name": "focal", "gamma": gamma}, POSITIVE),
    },
)


class Schedule(BaseModel):
    warm_up: int = 3


class ScheduledLossConfig(ComponentConfig):
    name: Literal["scheduled"] = "scheduled"
    schedule: Schedule = Schedule()


class ScheduledLoss(FocalLoss):
    config_class = ScheduledLossConfig


def register_losses(register: Callable[[type[Loss]], None]) -> None:
    register(ScheduledLoss)


def problems(content: Mapping[str, Any], registry: Registry = REGISTRY) -> list[str]:
    """Return the lines of the error that a configuration raises, without the first."""
    with pytest.raises(ConfigError) as caught:
        resolve_run(content, registry)
    first, *lines = str(caught.value).splitlines()
    assert first == "The configuration is invalid:"
    return [line.removeprefix("  ") for line in lines]


def references(schema: Any) -> Iterator[str]:
    """Yield every $ref below a part of a JSON schema."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from references(part)


def test_an_empty_configuration_is_the_default_run() -> None:
    run = resolve_run({}, REGISTRY)

    for section in KIND_OF_SECTION:
        name = RunConfig.model_fields[section].default["name"]
        resolved = getattr(run, section)
        assert resolved.config == resolved.component.config_class(name=name)


def test_a_section_s_options_reach_its_component() -> None:
    run = resolve_run({"seed": 7, "loss": {"name": "focal", "gamma": 1}}, REGISTRY)

    assert run.core.seed == 7
    assert run.loss.component is FocalLoss
    assert run.loss.config == FocalLossConfig(gamma=1.0)


def test_every_problem_is_listed_a_line_each_with_the_closest_key() -> None:
    content = {
        "sead": 1,
        "seed": "one",
        "phase1": {"batch_sise": 8, "batch_size": 0},
        "loss": {"name": "focal", "gama": 1, "gamma": "strong"},
        "texture_stream": {"name": "small-vgg", "channels": [4, "x"]},
        "generator": {"name": "convexgam"},
    }

    lines = problems(content)

    assert sorted(lines[:4]) == [
        "phase1.batch_sise: Extra inputs are not permitted (got 8); did you mean 'batch_size'?",
        "phase1.batch_size: Input should be greater than or equal to 1 (got 0)",
        "sead: Extra inputs are not permitted (got 1); did you mean 'seed'?",
        "seed: Input should be a valid integer (got 'one')",
    ]
    assert lines[4] == "texture_stream.channels.1: Input should be a valid integer (got 'x')"
    assert lines[5].startswith("generator.name: Unknown generator 'convexgam'. Registered: ")
    assert "Did you mean 'convexgan'?" in lines[5]
    assert sorted(lines[6:]) == [
        "loss.gama: Extra inputs are not permitted (got 1); did you mean 'gamma'?",
        "loss.gamma: Input should be a valid number (got 'strong')",
    ]


def test_a_section_without_a_name_is_for_the_default_component() -> None:
    run = resolve_run({"data": {"image_size": 24}}, REGISTRY)

    assert run.data.config.name == "garments"
    assert run.data.config.image_size == 24


@pytest.mark.parametrize("seed", [True, 3.0, "3"])
def test_a_value_of_another_type_is_refused(seed: object) -> None:
    assert problems({"seed": seed, "dictionary": {"max_per_class": seed}}) == [
        f"seed: Input should be a valid integer (got {seed!r})",
        f"dictionary.max_per_class: Input should be a valid integer (got {seed!r})",
    ]


def test_a_whole_number_is_a_number_and_a_list_is_a_tuple() -> None:
    content = {"loss": {"name": "focal", "gamma": 1}, "phase1": {"betas": [0, 0.5]}}

    run = resolve_run(content, REGISTRY)

    assert run.loss.config.gamma == 1
    assert run.core.phase1.betas == (0, 0.5)


@pytest.mark.parametrize("rate", [float("inf"), float("nan")])
def test_numbers_that_are_not_finite_are_refused(rate: float) -> None:
    assert problems({"phase1": {"learning_rate": rate}}) == [
        f"phase1.learning_rate: Input should be a finite number (got {rate})"
    ]


def test_a_path_that_cannot_be_written_as_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"A setting is not text: .* Rename the file or folder"):
        resolve_run({"data": {"name": "folder", "root": "images\udcff"}}, REGISTRY)


def test_a_key_unlike_any_other_has_no_suggestion() -> None:
    assert problems({"loss": {"name": "ldam", "zzz": 1}}) == [
        "loss.zzz: Extra inputs are not permitted (got 1)"
    ]


def test_a_component_that_is_not_a_table_is_named() -> None:
    assert problems({"loss": "focal"}) == [
        "loss: Input should be a table of settings (got 'focal')"
    ]


def test_an_option_that_contradicts_another_is_told_as_the_component_says_it() -> None:
    (line,) = problems(
        {"texture_stream": {"name": "small-vgg", "channels": [4], "freeze_stages": 2}}
    )

    assert line.startswith(
        "texture_stream: Value error, freeze_stages is 2, but there are 1 conv stages. Expected at "
        "most as many. Lower freeze_stages or lengthen channels."
    )


def test_a_component_of_another_kind_is_unknown_in_a_section() -> None:
    (line,) = problems({"loss": {"name": "convexgan"}})

    assert line.startswith("loss.name: Unknown loss 'convexgan'. Registered: ")
    assert "cross-entropy, focal" in line
    assert "convexgan" not in line.partition("Registered")[2]


def test_a_missing_component_comes_with_the_plugins_that_failed() -> None:
    failure = PluginFailure("poly", "fdmo-poly", "ImportError: no module named 'poly'")
    plugins = LoadedPlugins(load_plugins().components, (failure,))

    (line,) = problems({"loss": {"name": "poly"}}, Registry(plugins))

    assert line.startswith("loss.name: Unknown loss 'poly'.")
    assert line.endswith(f"lists that plugin. {failure}.")


@given(content=CONTENTS)
@settings(max_examples=50, deadline=None)  # the first example pays for imports
def test_a_resolved_configuration_resolves_to_itself_again(content: dict[str, Any]) -> None:
    run = resolve_run(content, REGISTRY)

    again: Run = resolve_run(tomllib.loads(run.as_toml()), REGISTRY)

    assert again.as_dict() == run.as_dict()
    assert again.as_toml() == run.as_toml()
    for section in KIND_OF_SECTION:
        assert getattr(again, section) == getattr(run, section)


def test_the_resolved_configuration_holds_every_default() -> None:
    content = tomllib.loads(resolve_run({}, REGISTRY).as_toml())

    assert content.keys() == RunConfig.model_fields.keys()
    for section in KIND_OF_SECTION:
        component = REGISTRY.find(content[section]["name"]).component
        assert content[section].keys() == component.config_class.model_fields.keys()


def test_the_schema_offers_each_component_where_its_kind_is_chosen() -> None:
    schema = json_schema(REGISTRY)

    for section, kind in KIND_OF_SECTION.items():
        offered = [choice["$ref"] for choice in schema["properties"][section]["oneOf"]]
        assert offered == [f"#/$defs/{one.name}" for one in REGISTRY.components(kind)]


def test_the_schema_of_a_component_is_that_of_its_config() -> None:
    definitions = json_schema(REGISTRY)["$defs"]

    for one in REGISTRY.components():
        own = definitions[one.name]
        assert own["properties"].keys() == one.component.config_class.model_fields.keys()
        assert own["properties"]["name"]["const"] == one.name
        assert "name" in own["required"]
        assert own["additionalProperties"] is False


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = json_schema(REGISTRY)

    for reference in references(schema):
        part: Any = schema
        for key in reference.removeprefix("#/").split("/"):
            part = part[key]
        assert part


def test_tables_inside_a_component_s_options_are_found_in_the_schema() -> None:
    plugin = ModuleType("scheduled")
    plugin.__dict__["register_losses"] = hookimpl(register_losses)

    schema = json_schema(Registry(load_plugins([plugin], installed=False)))

    own = schema["$defs"]["scheduled"]
    assert list(references(own)) == ["#/$defs/scheduled/$defs/Schedule"]
    assert own["$defs"]["Schedule"]["properties"].keys() == {"warm_up"}


def test_every_option_in_the_schema_is_described() -> None:
    definitions = json_schema(REGISTRY)["$defs"]

    for one in REGISTRY.components():
        options = definitions[one.name]["properties"]
        bare = [key for key, option in options.items() if "description" not in option]
        assert bare == ["name"]


def test_a_toml_file_is_read_as_tables(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('seed = 3\n[data]\nname = "folder"\nroot = "k\u00e4se"\n', encoding="utf-8")

    assert read_toml(path) == {"seed": 3, "data": {"name": "folder", "root": "k\u00e4se"}}


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"

    with pytest.raises(ConfigError) as caught:
        read_toml(path)

    assert str(caught.value) == (
        f"Cannot read {path}: No such file or directory. Expected a TOML file. Check the path, or "
        f"write one with 'fdmo config show > run.toml'."
    )


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_toml(tmp_path)

    assert str(caught.value).startswith(f"Cannot read {tmp_path}: Is a directory. Expected a TOML")


@pytest.mark.parametrize("content", [b"seed = ", b"seed: 1", b"root = 'k\xe4se'"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_toml(path)

    assert str(caught.value).startswith(f"{path} is not TOML: ")
    assert str(caught.value).endswith(
        ". Expected tables such as [phase1] with key = value. Correct the line, or begin with "
        "'fdmo config show'."
    )


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfseed = 4", b"seed = 4\r\n"])
def test_files_of_other_systems_are_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)

    assert read_toml(path) == {"seed": 4}


def test_a_file_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("seed = " + "[" * 5000)

    with pytest.raises(ConfigError, match="is not TOML"):
        read_toml(path)


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    with path.open("wb") as file:
        file.truncate(MAX_CONFIG_BYTES + 1)

    with pytest.raises(ConfigError) as caught:
        read_toml(path)

    assert str(caught.value) == (
        f"{path} has more than 1048576 bytes. Expected a configuration, which is shorter. Check "
        f"that it is the right file."
    )


def test_of_a_trained_run_only_what_is_used_must_be_there() -> None:
    content = {"loss": {"name": "gone", "depth": 2}, "generator": {"name": "gamo", "depht": 2}}

    run = resolve_run(content, REGISTRY, is_trained=True)

    assert run.as_dict()["loss"] == {"name": "gone", "depth": 2}
    assert run.rebalancer.config.name == "adversarial"
    with pytest.raises(ConfigError, match=r"invalid:\n  loss\.name: Unknown loss 'gone'\."):
        _ = run.loss.component
    with pytest.raises(ConfigError, match=r"invalid:\n  generator\.depht: "):
        _ = run.generator.config


def test_a_trained_run_s_other_settings_are_checked_at_once() -> None:
    with pytest.raises(ConfigError, match=r"phase1\.epochs"):
        resolve_run({"phase1": {"epochs": -1}, "loss": {"name": "x"}}, REGISTRY, is_trained=True)


def test_the_image_size_of_a_trained_run_is_known_without_its_data_set() -> None:
    gone = {"name": "gone", "image_size": 48}

    assert resolve_run({"data": gone}, REGISTRY, is_trained=True).image_size == 48
    with pytest.raises(ConfigError, match="Unknown dataset 'gone'"):
        _ = resolve_run({"data": {"name": "gone"}}, REGISTRY, is_trained=True).image_size
