"""What every command does first: load plugins, resolve the configuration, choose the device."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import torch

    from fdmo_core.config import Run
    from fdmo_core.registry import Registry

DEVICES = ("auto", "cpu", "cuda")


def load_registry(*runs: Path | None) -> "Registry":
    """Return the registry of all plugins; say which were left out, a line each on stderr.

    Args:
        runs: Folders of runs that are read or gone on with. Of a component of theirs that is gone
            the registry knows what to install; one of another version is told on stderr as well.
    """
    from fdmo_core.plugin_loading import load_plugins
    from fdmo_core.registry import Registry

    registry = Registry(load_plugins())
    for failure in registry.failures:
        typer.echo(f"Warning: {failure}", err=True)
    registry = registry.with_runs(*(one for one in runs if one is not None))
    for notice in registry.version_notices():
        typer.echo(f"Notice: {notice}", err=True)
    return registry


def read_run(
    registry: "Registry",
    *,
    config: Path | None,
    plugins: Iterable[str] | None,
    data: str | None,
    settings: Iterable[str] | None,
    seed: int | None,
) -> "Run":
    """Return the run that a configuration file, or a preset, and the command line describe."""
    from fdmo_cli.presets import find_config
    from fdmo_core.config import read_toml

    content = {} if config is None else read_toml(find_config(config))
    return change_run(content, registry, plugins=plugins, data=data, settings=settings, seed=seed)


def change_run(
    content: Mapping[str, Any],
    registry: "Registry",
    *,
    plugins: Iterable[str] | None = None,
    data: str | None = None,
    settings: Iterable[str] | None = None,
    seed: int | None = None,
    is_trained: bool = False,
) -> "Run":
    """Return the run that plain data and the command line describe; see :func:`resolve_run`."""
    from fdmo_cli.overrides import override
    from fdmo_core.config import resolve_run

    changed = override(
        content,
        registry,
        plugins=plugins or (),
        data=data,
        settings=settings or (),
        seed=seed,
    )
    return resolve_run(changed, registry, is_trained=is_trained)


def choose_device(name: str) -> "torch.device":
    """Return the device of a name; ``auto`` is a CUDA device where there is one.

    Under torchrun each process of a machine takes a CUDA device of its own.

    Raises:
        ConfigError: The name is unknown, or there is no such device.
    """
    import os

    import torch

    from fdmo_core.errors import ConfigError

    if name not in DEVICES:
        raise ConfigError(
            f"Unknown device '{name}'. Expected one of: {', '.join(DEVICES)}. Leave --device out "
            f"for auto."
        )
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise ConfigError(
            "PyTorch finds no CUDA device. Expected one for --device cuda. Check the driver with "
            "'nvidia-smi' and that torch is a CUDA build, or use --device cpu."
        )
    if name == "cpu" or not has_cuda:
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device
