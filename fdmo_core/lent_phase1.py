"""What one run takes from another: the weights of its phase 1, and the dictionary of features."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fdmo_core.checkpoint import checkpoint_files, load_checkpoint
from fdmo_core.config import RunConfig, describe_problems, read_toml
from fdmo_core.errors import ConfigError, RunFolderError
from fdmo_core.interfaces import FeatureDictionary
from fdmo_core.json_files import read_json
from fdmo_core.manifest import require_intact
from fdmo_core.network import Network
from fdmo_core.phase2 import empty_dictionary
from fdmo_core.recorder import Recorder
from fdmo_core.settings import read_settings

DECIDE_PHASE1 = (
    "seed",
    "data",
    "augmentation",
    "texture_stream",
    "shape_stream",
    "landmark_head",
    "model",
    "phase1",
    "dictionary",
    "compute",
)


def borrow_phase1(model: Network, recorder: Recorder, lender: Path) -> FeatureDictionary:
    """Give a model the weights that another run's phase 1 learned, and return its dictionary.

    Args:
        model: Changed in place.
        recorder: Of the run that borrows.
        lender: Run folder of the other one.

    Raises:
        ConfigError: The other run's phase 1 was configured otherwise.
        RunFolderError: The other run's phase 1 is not finished.
    """
    theirs, ours = _with_defaults(lender / "config.toml"), recorder.run.as_dict()
    differing = [key for key in DECIDE_PHASE1 if theirs.get(key) != ours[key]]
    differing += [
        f"cache.{key}"
        for key in ("precision", "views")
        if theirs.get("cache", {}).get(key) != ours["cache"][key]
    ]
    if differing:
        raise ConfigError(
            f"Phase 1 of {lender} was configured otherwise in: {', '.join(differing)}. Expected "
            f"equal settings. Use the settings of {lender / 'config.toml'}, or train phase 1 anew."
        )
    return load_phase1(model, recorder, lender)


def _with_defaults(file: Path) -> dict[str, Any]:
    """Return what a run was configured with; settings that it did not know have their defaults."""
    try:
        return read_settings(RunConfig, read_toml(file)).model_dump(mode="json")
    except ValidationError as error:
        problems = "; ".join(describe_problems(error, RunConfig))
        raise ConfigError(
            f"{file} is no configuration of this version of fdmo: {problems}. Expected one that "
            f"it can read. Use the version that wrote it, or train phase 1 anew."
        ) from error


def load_phase1(model: Network, recorder: Recorder, lender: Path) -> FeatureDictionary:
    """Give a model the weights of a finished phase 1 of the same settings; return its dictionary.

    Args:
        model: Changed in place.
        recorder: Of the run that the model is of.
        lender: Run folder that holds the phase 1; may be the recorder's own.

    Raises:
        ConfigError: The data is not what phase 1 was trained on.
        RunFolderError: Phase 1 is not finished.
    """
    require_intact(lender, "data.json", part="dictionary")
    digest = _read_digest(lender)
    if digest != recorder.splits.digest:
        raise ConfigError(
            f"Phase 1 of {lender} was trained on other data, of digest {digest}. Expected "
            f"{recorder.splits.digest}. Restore the data, or train phase 1 anew."
        )
    file, _ = checkpoint_files(lender / "checkpoints", "phase1")
    position = load_checkpoint(file, module=model, optimizers={})
    if not position.is_end:
        raise RunFolderError(
            f"Phase 1 of {lender} has {position.done} steps done. Expected all {position.total}. "
            f"Let that run finish first."
        )
    model.share_prefix()  # the initial weights may be others today
    dictionary = empty_dictionary(recorder.run, model, num_classes=model.num_classes)
    dictionary.load(lender / "dictionary")
    return dictionary


def _read_digest(lender: Path) -> str:
    """Return the digest of the data that a run was trained on."""
    file = lender / "data.json"
    try:
        return str(read_json(file)["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{file} cannot be read: {error}. Expected the file that 'fdmo train' wrote. Train "
            f"phase 1 anew."
        ) from error
