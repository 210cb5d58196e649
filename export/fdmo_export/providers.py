"""Opens a session with the execution provider that was asked for, or says why it cannot."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from fdmo_core.errors import ConfigError, ExportError
from fdmo_core.files import make_folder
from fdmo_export.metadata import Metadata, Source
from fdmo_export.obstacles import Obstacle, find_obstacle
from fdmo_export.onnxruntime_package import import_onnxruntime
from fdmo_export.tensorrt import ShapeProfile, default_cache_dir, tensorrt_options

Provider = Literal["cpu", "cuda", "tensorrt"]
CHOICES = ("auto", "cpu", "cuda", "tensorrt")

ONNXRUNTIME_NAMES: Mapping[Provider, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Best first; what one provider cannot compute is left to those after it."""


@dataclass(frozen=True)
class SessionSettings:
    """How a session is made.

    Attributes:
        provider: The one that is wanted; ``"auto"`` is the best that becomes active: TensorRT
            (only with a cache folder, for without one each start builds engines for minutes),
            CUDA, the CPU.
        allow_cpu: Whether the CPU will do where it cannot be had.
        threads: That compute on the CPU.
        spin: Whether they wait for work in a loop, which is quick but keeps others off the core.
        cache_dir: Where TensorRT keeps engines and timings; None is the user's cache folder.
        profile: What TensorRT's engines are built for.
    """

    provider: str
    allow_cpu: bool
    threads: int
    spin: bool
    cache_dir: Path | None
    profile: ShapeProfile

    def candidates(self) -> tuple[Provider, ...]:
        """Return the providers to try in turn.

        Raises:
            ConfigError: The provider is unknown.
        """
        if self.provider not in CHOICES:
            raise ConfigError(
                f"provider is {self.provider!r}. Expected one of {', '.join(CHOICES)}. Choose one "
                f"of these."
            )
        if self.provider == "auto":
            return ("cuda", "cpu") if self.cache_dir is None else ("tensorrt", "cuda", "cpu")
        allowed = {self.provider, "cpu"} if self.allow_cpu else {self.provider}
        return tuple(one for one in ONNXRUNTIME_NAMES if one in allowed)


class Opened(NamedTuple):
    """A session in which a provider is active.

    Attributes:
        session: Of onnxruntime.
        provider: The one that is active in it.
        passed_over: Better providers that were tried, each with what keeps it from starting.
    """

    session: Any
    provider: Provider
    passed_over: tuple[str, ...]


def open_session(source: Source, settings: SessionSettings, metadata: Metadata) -> Opened:
    """Return a session in which the provider is active.

    Args:
        source: A file that is known to be whole.
        settings: How the session is made.
        metadata: What the file says of itself.

    Raises:
        ConfigError: The provider is unknown.
        ExportError: The provider is not active, or onnxruntime cannot load the file.
    """
    runtime = import_onnxruntime()
    obstacles: dict[Provider, Obstacle] = {}
    for provider in settings.candidates():
        found = (
            _open_on_cpu(runtime, source, settings)
            if provider == "cpu"
            else _open_on_gpu(runtime, source, settings, metadata, provider)
        )
        if not isinstance(found, Obstacle):
            passed_over = tuple(f"{name}: {one.what}" for name, one in obstacles.items())
            return Opened(found, provider, passed_over)
        obstacles[provider] = found
    ((_, obstacle),) = obstacles.items()  # only one provider was asked for
    raise ExportError(
        f"Provider '{settings.provider}' is not active: {obstacle.what}. Expected a machine on "
        f"which it starts. {obstacle.advice}; or choose the provider 'cpu', or allow it instead "
        f"(allow_cpu=True; --allow-cpu of 'fdmo predict')."
    )


def _open_on_cpu(runtime: ModuleType, source: Source, settings: SessionSettings) -> Any:
    try:
        return _session(runtime, source, settings, {"cpu": {}})
    except Exception as error:  # onnxruntime raises many types of its own
        raise ExportError(
            f"{source.name} cannot be loaded: {error}. Expected an ONNX file that 'fdmo export "
            f"onnx' wrote. Export the run again."
        ) from error


def _open_on_gpu(
    runtime: ModuleType,
    source: Source,
    settings: SessionSettings,
    metadata: Metadata,
    provider: Provider,
) -> Any:
    """Return a session, or the obstacle in its way."""
    wanted = ONNXRUNTIME_NAMES[provider]
    obstacle = find_obstacle(runtime, provider=provider, onnxruntime_name=wanted)
    if obstacle is not None:
        return obstacle
    options: dict[Provider, dict[str, str]] = {"cuda": {}, "cpu": {}}
    if provider == "tensorrt":
        folder = settings.cache_dir or default_cache_dir()
        make_folder(folder)
        options = {"tensorrt": tensorrt_options(metadata, settings.profile, folder), **options}
    advice = "See docs/onnx.md for the versions of driver and libraries that belong together"
    try:
        session = _session(runtime, source, settings, options)
    except Exception as error:  # onnxruntime raises many types of its own
        reason = str(error).strip().partition("\n")[0]
        return Obstacle(f"onnxruntime could not start it ({reason})", advice)
    if wanted not in session.get_providers():
        return Obstacle("onnxruntime could not start it and said why on stderr", advice)
    return session


def _session(
    runtime: ModuleType,
    source: Source,
    settings: SessionSettings,
    providers: Mapping[Provider, dict[str, str]],
) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # not its warnings that an input has a default
    options.intra_op_num_threads = settings.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spin)))
    return runtime.InferenceSession(
        source.file,
        options,
        providers=[ONNXRUNTIME_NAMES[one] for one in providers],
        provider_options=list(providers.values()),
        enable_fallback=0,  # it would go on with another provider and tell stdout
    )
