"""Going on with a run that stopped: what it was begun with, and whether that still holds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.errors import ConfigError, RunFolderError
from fdmo_core.json_files import read_json
from fdmo_core.manifest import CONFIG_FILE, ENVIRONMENT_FILE, METRICS_FILE, require_intact
from fdmo_core.run_folder import describe_environment
from fdmo_core.samples import Splits

WITHOUT_INFLUENCE = (  # on the result, or on how good it is
    "loading",
    "cache.folder",
    "cache.max_gib",
    "checkpoint",
    "nonfinite",
)
IN_ENVIRONMENT = ("device", "gpu", "threads", "processes", "torch_build", "python")


@dataclass(frozen=True)
class Begun:
    """What a run was begun with, as its folder tells.

    Attributes:
        folder: The run folder.
        environment: Versions, device, command and the settings with all defaults.
        data: Class names and digest.
    """

    folder: Path
    environment: Mapping[str, Any]
    data: Mapping[str, Any]

    @property
    def phase1_from(self) -> Path | None:
        """Folder of the run that phase 1 is from, if it is another's."""
        lender = self.environment["phase1_from"]
        return None if lender is None else Path(lender)

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.folder / METRICS_FILE).is_file()

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of a finished run."""
        require_intact(self.folder, METRICS_FILE)
        content: dict[str, Any] = read_json(self.folder / METRICS_FILE)
        return content


class Difference(NamedTuple):
    """One thing that is not as it was when the run began.

    Attributes:
        key: Such as ``"phase1.learning_rate"`` or ``"packages.torch"``.
        before: What it was.
        now: What it is.
        is_harmless: Whether the run may go on: its result is as good, though its bits may differ.
    """

    key: str
    before: Any
    now: Any
    is_harmless: bool

    def __str__(self) -> str:
        return f"{self.key} was {self.before!r}, is {self.now!r}"


def read_begun(folder: Path) -> Begun:
    """Return what a run was begun with.

    Raises:
        RunFolderError: The folder is no run that can be gone on with.
    """
    if not (folder / CONFIG_FILE).is_file():
        raise RunFolderError(
            f"{folder} holds no run to go on with: it has no config.toml. Expected a folder that "
            f"'fdmo train' began. Check the path; a run that was killed before it began is started "
            f"anew after its folder is removed."
        )
    try:
        environment, data = (read_json(folder / name) for name in (ENVIRONMENT_FILE, "data.json"))
        missing = {"config", "phase1_from", "packages", "plugins", *IN_ENVIRONMENT} - set(
            environment
        )
        if missing:
            raise KeyError(", ".join(sorted(missing)))
        _ = data["digest"], data["class_names"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{folder} cannot be gone on with: {error!r}. Expected {ENVIRONMENT_FILE} and "
            f"data.json as this version of fdmo writes them. Use the version that began the run, "
            f"or train again."
        ) from error
    return Begun(folder, environment, data)


def require_same(
    begun: Begun, run: Run, splits: Splits, compute: Compute, *, allowed: Collection[str] = ()
) -> list[Difference]:
    """Return what differs from when the run began, all of it allowed.

    Args:
        begun: What the run was begun with.
        run: The configuration now.
        splits: The data now.
        compute: Device and processes now.
        allowed: Keys that may differ, if that is harmless.

    Raises:
        ConfigError: Something else differs; it lists all that does.
    """
    found = differences(begun, run, splits, compute)
    refused = [one for one in found if not (one.is_harmless and one.key in allowed)]
    if not refused:
        return found
    harmless = [one.key for one in refused if one.is_harmless]
    lines = [str(one) for one in refused]
    advice = "Go back to what it was, or train again in a new folder."
    if len(harmless) == len(refused):
        options = " ".join(f"--allow-changed {key}" for key in harmless)
        advice = f"Go back to what it was, or accept it, with other last digits, by {options}."
    elif harmless:
        advice += f" By itself --allow-changed would do for: {', '.join(harmless)}."
    raise ConfigError(
        f"{begun.folder} was begun with something else:\n  "
        + "\n  ".join(lines)
        + f"\nExpected the same, so that the run ends with the same bits. {advice}"
    )


def differences(begun: Begun, run: Run, splits: Splits, compute: Compute) -> list[Difference]:
    """Return in what settings, data, versions and device differ from when the run began."""
    now = describe_environment(run, compute, command="")
    before = begun.environment
    found = [
        Difference(key, old, new, key.startswith(WITHOUT_INFLUENCE))
        for key, old, new in changes(before["config"], run.as_dict())
    ]
    data = {"digest": splits.digest, "class_names": list(splits.class_names)}
    found += [
        Difference(f"data.{key}", begun.data[key], new, False)
        for key, new in data.items()
        if begun.data[key] != new
    ]
    for part in ("packages", "plugins"):
        found += [
            Difference(f"{part}.{key}", old, new, True)
            for key, old, new in changes(before[part], now[part])
        ]
    found += [
        Difference(key, before[key], now[key], True)
        for key in IN_ENVIRONMENT
        if before[key] != now[key]
    ]
    return found


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return ``(section.key, old, new)`` of all settings that differ; None where one is absent."""
    old, new = _flat(before), _flat(now)
    return [
        (key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, value in content.items():
        if isinstance(value, Mapping):
            flat |= {f"{section}.{key}": one for key, one in value.items()}
        else:
            flat[section] = value
    return flat
