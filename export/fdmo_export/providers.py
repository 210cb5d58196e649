"""Opens a session with the execution provider that was asked for, or says why it cannot."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

from fdmo_core.errors import ConfigError, ExportError
from fdmo_core.files import make_folder
from fdmo_export.contract import INPUT_BOX, INPUT_IMAGE
from fdmo_export.metadata import Metadata, read_metadata
from fdmo_export.obstacles import Obstacle, find_obstacle
from fdmo_export.onnxruntime_package import import_onnxruntime

Provider = Literal["cpu", "cuda", "tensorrt"]
ProviderChoice = Literal["auto", "cpu", "cuda", "tensorrt"]

ONNXRUNTIME_NAMES: Mapping[Provider, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Best first; what one provider cannot compute is left to those after it."""


@dataclass(frozen=True)
class ShapeProfile:
    """Batch, height and width that TensorRT's engines are built for.

    Attributes:
        smallest: That they take at least.
        usual: For which they are fast.
        largest: That they take at most.
    """

    smallest: tuple[int, int, int] = (1, 16, 16)
    usual: tuple[int, int, int] = (8, 480, 640)
    largest: tuple[int, int, int] = (32, 1024, 1024)


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

    provider: ProviderChoice
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
        known = get_args(ProviderChoice)
        if self.provider not in known:
            raise ConfigError(
                f"provider is {self.provider!r}. Expected one of {', '.join(known)}. Choose one "
                f"of these."
            )
        if self.provider == "auto":
            return ("cuda", "cpu") if self.cache_dir is None else ("tensorrt", "cuda", "cpu")
        if self.provider == "cpu" or not self.allow_cpu:
            return (self.provider,)
        return (self.provider, "cpu")


class Opened(NamedTuple):
    """A file that is ready to run.

    Attributes:
        session: Of onnxruntime.
        provider: The one that is active in it.
        metadata: What the file says of itself.
        passed_over: Better providers that were tried, each with what keeps it from starting.
    """

    session: Any
    provider: Provider
    metadata: Metadata
    passed_over: tuple[str, ...]


def open_session(content: bytes, settings: SessionSettings, *, name: str) -> Opened:
    """Return a session in which the provider is active.

    Args:
        content: The ONNX file.
        settings: How the session is made.
        name: What messages call the file.

    Raises:
        ConfigError: The provider is unknown.
        ExportError: The provider is not active, or the file is not one of fdmo's.
    """
    runtime = import_onnxruntime()
    obstacles: list[Obstacle] = []
    passed_over: tuple[str, ...] = ()
    for provider in settings.candidates():
        if provider == "cpu":
            session = _open_on_cpu(runtime, content, settings, name)
            return Opened(session, provider, read_metadata(session, name), passed_over)
        found = _open_on_gpu(runtime, content, settings, name, provider)
        if isinstance(found, Opened):
            return found._replace(passed_over=passed_over)
        obstacles.append(found)
        passed_over += (f"{provider}: {found.what}",)
    raise ExportError(
        f"Provider '{settings.provider}' is not active: {obstacles[0].what}. Expected a machine "
        f"on which it starts. {obstacles[0].advice}; or choose the provider 'cpu', or allow it "
        f"instead (--allow-cpu, allow_cpu=True)."
    )


def _open_on_cpu(runtime: ModuleType, content: bytes, settings: SessionSettings, name: str) -> Any:
    try:
        return _session(runtime, content, settings, {"cpu": {}})
    except Exception as error:  # onnxruntime raises many types of its own
        raise ExportError(
            f"{name} cannot be loaded: {error}. Expected an ONNX file that 'fdmo export onnx' "
            f"wrote. Export the run again."
        ) from error


def _open_on_gpu(
    runtime: ModuleType,
    content: bytes,
    settings: SessionSettings,
    name: str,
    provider: Provider,
) -> Opened | Obstacle:
    wanted = ONNXRUNTIME_NAMES[provider]
    obstacle = find_obstacle(runtime, provider=provider, onnxruntime_name=wanted)
    if obstacle is not None:
        return obstacle
    metadata = read_metadata(_open_on_cpu(runtime, content, settings, name), name)
    options: dict[Provider, dict[str, str]] = {"cuda": {}, "cpu": {}}
    if provider == "tensorrt":
        options = {"tensorrt": tensorrt_options(settings, metadata), **options}
        make_folder(settings.cache_dir or default_cache_dir())
    advice = "See docs/onnx.md for the versions of driver and libraries that belong together"
    try:
        session = _session(runtime, content, settings, options)
    except Exception as error:  # onnxruntime raises many types of its own
        reason = str(error).strip().partition("\n")[0]
        return Obstacle(f"onnxruntime could not start it ({reason})", advice)
    if wanted not in session.get_providers():
        return Obstacle("onnxruntime could not start it and said why on stderr", advice)
    return Opened(session, provider, metadata, ())


def _session(
    runtime: ModuleType,
    content: bytes,
    settings: SessionSettings,
    providers: Mapping[Provider, dict[str, str]],
) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # not its warnings that an input has a default
    options.intra_op_num_threads = settings.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spin)))
    return runtime.InferenceSession(
        content,
        options,
        providers=[ONNXRUNTIME_NAMES[one] for one in providers],
        provider_options=list(providers.values()),
        enable_fallback=0,  # it would go on with another provider and tell stdout
    )


def tensorrt_options(settings: SessionSettings, metadata: Metadata) -> dict[str, str]:
    """Return what TensorRT is told: where its cache is, its shapes, what it may compute with.

    Source: onnxruntime's documentation of the TensorRT execution provider.
    """
    folder = settings.cache_dir or default_cache_dir()
    options = {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
        "trt_fp16_enable": str(metadata.precision == "fp16"),
        "trt_int8_enable": str(metadata.precision == "int8"),
    }
    sizes = (settings.profile.smallest, settings.profile.usual, settings.profile.largest)
    for key, size in zip(("min", "opt", "max"), sizes, strict=True):
        options[f"trt_profile_{key}_shapes"] = _shapes(metadata, *size)
    return options


def _shapes(metadata: Metadata, batch: int, height: int, width: int) -> str:
    """Return the shape of each input whose shape is not fixed, as TensorRT reads it."""
    if metadata.takes_whole_images:
        return f"{INPUT_IMAGE}:{batch}x{height}x{width}x3,{INPUT_BOX}:{batch}x4"
    side = metadata.image_size
    rest = f"3x{side}x{side}" if side else f"{metadata.feature_dim}"
    return f"{metadata.input_name}:{batch}x{rest}"


def default_cache_dir() -> Path:
    """Return where TensorRT's engines are kept if nothing else is said."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fdmo" / "tensorrt"
