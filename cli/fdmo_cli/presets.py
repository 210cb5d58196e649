"""The configurations that come with the package, by name."""

from difflib import get_close_matches
from pathlib import Path

from fdmo_core.errors import ConfigError

FOLDER = Path(__file__).with_name("presets")


def preset_names() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def preset_file(name: str) -> Path:
    """Return the file of a preset; the name must be one of :func:`preset_names`."""
    return FOLDER / f"{name}.toml"


def find_config(config: Path) -> Path:
    """Return the file that ``--config`` means: a file of that name, or else a preset.

    What looks like a path is returned as it is, for whoever reads it to say what is wrong with it.

    Args:
        config: What the command line gave.

    Raises:
        ConfigError: It is a single word, but neither a file nor a preset.
    """
    name, names = str(config), preset_names()
    if config.is_file():
        return config
    if name in names:
        return preset_file(name)
    if config.exists() or config.suffix or config.name != name:
        return config
    close = get_close_matches(name, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise ConfigError(
        f"'{name}' is neither a file nor a preset. Expected a TOML file, or one of: "
        f"{', '.join(names)}.{hint} Check the path, or write a file with 'fdmo config show > "
        f"run.toml'."
    )
