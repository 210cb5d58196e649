"""A run's configuration: the TOML file, checked in two passes.

The first pass checks the sections that the core owns and keeps the components' sections as
tables. The second finds each component by its name and checks the rest of its section with the
component's own config class, so a plugin's options are checked like built-in ones.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, Field, ValidationError

from fdmo_core.augmentation import AugmentationConfig
from fdmo_core.batches import LoadingConfig
from fdmo_core.checkpoint import CheckpointConfig
from fdmo_core.compute import ComputeConfig
from fdmo_core.errors import ConfigError, UnknownComponentError
from fdmo_core.folds import CrossfitConfig
from fdmo_core.interfaces import (
    Dataset,
    Extractor,
    FeatureDictionary,
    FeatureGenerator,
    LandmarkHead,
    Loss,
    Rebalancer,
)
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.metrics import MetricsConfig
from fdmo_core.model import ModelConfig
from fdmo_core.nonfinite import NonfiniteConfig
from fdmo_core.phase1 import Phase1Config
from fdmo_core.prefix_cache import CacheConfig
from fdmo_core.registry import Registry, Resolved, Unresolved
from fdmo_core.settings import Settings, read_settings

MAX_CONFIG_BYTES = 2**20  # a config is a page of text; anything longer is not one

Section = dict[str, Any]


class RunConfig(Settings):
    """What one TOML file holds; sections of components are checked by the components."""

    seed: int = Field(default=0, ge=0, lt=2**63, description="Decides everything that is drawn.")
    data: Section = Field(default={"name": "garments"}, description="The data set.")
    loading: LoadingConfig = LoadingConfig()
    cache: CacheConfig = CacheConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    compute: ComputeConfig = ComputeConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    texture_stream: Section = Field(default={"name": "small-vgg"}, description="Extractor F_t.")
    shape_stream: Section = Field(default={"name": "small-vgg"}, description="Extractor F_s.")
    landmark_head: Section = Field(
        default={"name": "ldm"}, description="Landmark head; not built for data without landmarks."
    )
    model: ModelConfig = ModelConfig()
    phase1: Phase1Config = Phase1Config()
    crossfit: CrossfitConfig = CrossfitConfig()
    dictionary: Section = Field(default={"name": "memory"}, description="Feature dictionary.")
    rebalancer: Section = Field(default={"name": "adversarial"}, description="Phase 2.")
    generator: Section = Field(default={"name": "convexgan"}, description="Feature generator.")
    loss: Section = Field(
        default={"name": "ldam"}, description="What the main classifier minimises in phase 2."
    )
    nonfinite: NonfiniteConfig = NonfiniteConfig()
    metrics: MetricsConfig = MetricsConfig()


@dataclass(frozen=True)
class Run:
    """A run's configuration with every component found and every option checked.

    Attributes:
        core: The sections that the core owns.
        data, texture_stream, shape_stream, landmark_head, dictionary, rebalancer, generator,
            loss: The chosen components. Of a trained run one that is gone raises when it is used.
    """

    core: RunConfig
    data: Resolved[Dataset]
    texture_stream: Resolved[Extractor]
    shape_stream: Resolved[Extractor]
    landmark_head: Resolved[LandmarkHead]
    dictionary: Resolved[FeatureDictionary]
    rebalancer: Resolved[Rebalancer]
    generator: Resolved[FeatureGenerator]
    loss: Resolved[Loss]

    @property
    def image_size(self) -> int:
        """Side of the square network input, in pixels; known of a trained run without its data."""
        settings = self.data.settings
        if "image_size" not in settings:
            return int(self.data.config.image_size)
        return int(settings["image_size"])

    @property
    def cross_fits(self) -> bool:
        """Whether phase 2 needs training images as models see them that never learned from them."""
        config = self.core.crossfit
        if config.dictionary or config.ensemble:
            return True
        return self.rebalancer.component.needs_out_of_fold(self.rebalancer.config)

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as plain data, defaults included."""
        content = self.core.model_dump(mode="json")
        for section in KIND_OF_SECTION:
            content[section] = dict(getattr(self, section).settings)
        return content

    def as_toml(self) -> str:
        """Return the configuration as a TOML file, defaults included."""
        return tomli_w.dumps(self.as_dict())


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        ConfigError: The file is missing, too long, or not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        if len(content) > MAX_CONFIG_BYTES:
            raise ConfigError(
                f"{path} has more than {MAX_CONFIG_BYTES} bytes. Expected a configuration, which "
                f"is shorter. Check that it is the right file."
            )
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"Cannot read {path}: {error.strerror}. Expected a TOML file. Check the path, or write "
            f"one with 'fdmo config show > run.toml'."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}. Expected tables such as [phase1] with key = value. "
            f"Correct the line, or begin with 'fdmo config show'."
        ) from error


def resolve_run(content: Mapping[str, Any], registry: Registry, *, is_trained: bool = False) -> Run:
    """Return the run that plain data describes, with all defaults.

    Args:
        content: What a TOML file held, with what the command line changed.
        registry: Where components are found.
        is_trained: Whether the run is trained already. Then a component that cannot be had is told
            when it is used, for much of what a run was trained with is not needed afterwards.

    Raises:
        ConfigError: One or more settings are wrong; a line for each.
    """
    _require_text(content)
    problems: list[str] = []
    try:
        core = read_settings(RunConfig, content)
    except ValidationError as error:
        problems += describe_problems(error, RunConfig)
        bad = {str(problem["loc"][0]) for problem in error.errors()}
        core = read_settings(
            RunConfig, {key: part for key, part in content.items() if key not in bad}
        )
    named = {  # a section without a name is for the default component
        section: RunConfig.model_fields[section].default | getattr(core, section)
        for section in KIND_OF_SECTION
    }
    resolved: dict[str, Any] = {}
    for section, kind in KIND_OF_SECTION.items():
        try:
            resolved[section] = registry.resolve(kind.interface, named[section])
            continue
        except UnknownComponentError as error:
            found = [f"{section}.name: {error}"]
        except ValidationError as error:
            options = registry.find(str(named[section]["name"])).component.config_class
            found = describe_problems(error, options, section)
        if is_trained:
            resolved[section] = Unresolved(named[section], _invalid(found))
        else:
            problems += found
    if problems:
        raise ConfigError(_invalid(problems))
    return Run(core=core, **resolved)


def _invalid(problems: list[str]) -> str:
    return "The configuration is invalid:\n  " + "\n  ".join(problems)


def _require_text(content: Mapping[str, Any]) -> None:
    """Raise a ConfigError if the configuration could not be written as a TOML file."""
    try:
        json.dumps(content, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"A setting is not text: {error.object[error.start - 20 : error.end]!r}. Expected "
            f"UTF-8. Rename the file or folder that it names."
        ) from error


def describe_problems(
    error: ValidationError, config_class: type[BaseModel], section: str = ""
) -> list[str]:
    """Return one line for each problem: key, what is wrong, what it got, and the closest key."""
    lines = []
    for problem in error.errors():
        path = [section] if section else []
        path += [str(part) for part in problem["loc"]]
        hint = ""
        if problem["type"] == "extra_forbidden":
            close = get_close_matches(path[-1], _keys(config_class, problem["loc"][:-1]), n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
        message = problem["msg"].replace("an object", "a table of settings")
        lines.append(f"{'.'.join(path) or 'value'}: {message} (got {problem['input']!r}){hint}")
    return lines


def _keys(config_class: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Return the keys of the table at a location below a config class."""
    for part in location:
        annotation = config_class.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        config_class = annotation
    return list(config_class.model_fields)


def json_schema(registry: Registry) -> dict[str, Any]:
    """Return the JSON schema of a configuration, with the components that are installed."""
    schema = RunConfig.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for section, kind in KIND_OF_SECTION.items():
        choices = []
        for one in registry.components(kind):
            own = one.component.config_class.model_json_schema(
                ref_template=f"#/$defs/{one.name}/$defs/{{model}}"
            )
            own["required"] = sorted({*own.get("required", []), "name"})
            definitions[one.name] = own
            choices.append({"$ref": f"#/$defs/{one.name}"})
        description = RunConfig.model_fields[section].description
        default = RunConfig.model_fields[section].default
        schema["properties"][section] = {
            "description": description,
            "default": default,
            "oneOf": choices,
        }
    return schema
