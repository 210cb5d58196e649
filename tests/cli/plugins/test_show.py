"""``fdmo plugins show``: all that there is to say of a component, whatever the terminal."""

import json
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from fdmo_cli.plugins.description import describe_component, type_name
from fdmo_cli.plugins.show import show
from fdmo_core import ComponentConfig
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.plugin_loading import LoadedComponent
from fdmo_core.registry import Registry
from fdmo_plugins.losses import focal

Command = Callable[..., subprocess.CompletedProcess[str]]


class StrangeConfig(ComponentConfig):
    name: Literal["strange"] = "strange"
    names: tuple[str, ...] = Field(description="Required.", min_length=1)
    mode: Literal["a", "b"] | None = Field(default=None, description="A choice.")
    shares: dict[str, Annotated[float, Field(ge=0, lt=1)]] = Field(default={}, max_length=3)


class Strange:
    """Does one thing.

    In two paragraphs: of
    which this has two lines.

    Source: Nobody 2020,
    on two lines.

    Args:
        config: Nothing.
    """

    config_class = StrangeConfig


STRANGE = LoadedComponent("strange", KIND_OF_SECTION["loss"], Strange, "fdmo-strange", "1.5")


def test_json_says_all_of_a_component(fdmo: Command) -> None:
    found = json.loads(fdmo("plugins", "show", "focal", "--json").stdout)

    path = Path(str(focal.__file__))
    lines = path.read_text().splitlines()
    assert found["kind"] == "loss"
    assert found["summary"] == found["description"][0]
    assert found["source"][0].startswith("Source: Lin et al. 2017")
    assert (found["distribution"], found["version"]) == ("fdmo", version("fdmo"))
    assert found["file"] == str(path)
    assert lines[found["line"] - 1].startswith("class FocalLoss(")
    assert found["sections"] == ["loss"]
    (gamma,) = (one for one in found["settings"] if one["key"] == "gamma")
    assert gamma == {
        "key": "gamma",
        "type": "float",
        "required": False,
        "default": focal.FocalLossConfig().gamma,
        "constraints": {"ge": 0},
        "description": focal.FocalLossConfig.model_fields["gamma"].description,
    }
    assert found["example"] == f"fdmo train --plugin focal --set loss.gamma={gamma['default']}"


def test_types_defaults_limits_and_choices_are_those_of_the_fields() -> None:
    found = describe_component(STRANGE)

    facts = {
        one["key"]: (one["type"], one["required"], one["default"], one["constraints"])
        for one in found["settings"]
    }
    assert facts == {
        "names": ("tuple[text, ...]", True, None, {"min_length": 1}),
        "mode": ("text | none", False, None, {"choices": ["a", "b"]}),
        "shares": ("dict[text, float (ge 0, lt 1)]", False, {}, {"max_length": 3}),
    }
    assert found["example"] == "fdmo train --plugin strange --set loss.names=VALUE"


def test_prose_and_source_are_taken_from_the_docstring() -> None:
    found = describe_component(STRANGE)

    assert found["description"] == [
        "Does one thing.",
        "In two paragraphs: of which this has two lines.",
    ]
    assert found["source"] == ["Source: Nobody 2020, on two lines."]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [(int, "int"), (bool | None, "bool | none"), (Literal[1, 2.5], "int | float"), (Any, "Any")],
)
def test_types_are_named_as_a_person_would(annotation: Any, expected: str) -> None:
    assert type_name(annotation) == expected


def test_every_component_can_be_shown_with_its_file(registry: Registry) -> None:
    for one in registry.components():
        found = describe_component(one)

        assert Path(found["file"]).is_file()
        assert found["description"]
        assert len(found["settings"]) == len(one.component.config_class.model_fields) - 1
        assert json.loads(json.dumps(found)) == found


def test_a_narrow_terminal_cuts_nothing_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {}
    for width in ("300", "30"):
        monkeypatch.setenv("COLUMNS", width)
        show("convexgan")
        words[width] = capsys.readouterr().out.split()

    assert "adversarial_weight:" in words["30"]
    assert words["30"] == words["300"]


def test_the_text_names_settings_sections_and_an_example(fdmo: Command) -> None:
    shown = fdmo("plugins", "show", "small-vgg").stdout

    assert shown.startswith(f"small-vgg (extractor of fdmo {version('fdmo')})\n\n")
    assert "\nChosen in: [texture_stream], [shape_stream]\n" in shown
    assert (
        "\n  channels: tuple[int (gt 0), ...]; default [16, 32, 64]; min_length 1\n"
        "    Channels of each conv stage.\n"
    ) in shown
    assert shown.endswith(
        "\nExample:\n  fdmo train --plugin small-vgg --set 'texture_stream.channels=[16, 32, 64]'\n"
    )


def test_a_distribution_shows_its_components_a_short_block_each(
    fdmo: Command, registry: Registry
) -> None:
    shown = fdmo("plugins", "show", "fdmo").stdout
    found = json.loads(fdmo("plugins", "show", "FDMO", "--json").stdout)

    own = [one for one in registry.components() if one.distribution == "fdmo"]
    blocks = shown.rstrip("\n").split("\n\n")
    assert [block.partition(" ")[0] for block in blocks] == [one.name for one in own]
    assert "Settings" not in shown
    assert [one["name"] for one in found["components"]] == [one.name for one in own]


def test_an_unknown_name_is_refused_with_the_closest_one(fdmo: Command) -> None:
    result = fdmo("plugins", "show", "foccal")

    assert result.returncode == 1
    assert "Unknown component 'foccal'." in result.stderr
    assert "Did you mean 'focal'?" in result.stderr
