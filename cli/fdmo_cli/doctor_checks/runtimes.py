"""onnxruntime: which package supplies it, and which of its providers really start."""

from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType

from fdmo_cli.doctor_checks.finding import OK, PROBLEM, WARNING, Finding
from fdmo_cli.doctor_checks.gpu import num_gpus
from fdmo_export.obstacles import Obstacle, find_obstacle
from fdmo_export.onnxruntime_package import PACKAGES, import_onnxruntime, installed_packages
from fdmo_export.providers import ONNXRUNTIME_NAMES, Provider

UNINSTALL = f"pip uninstall --yes {' '.join(PACKAGES)}"


def check_packages() -> Finding:
    """Look which packages supply onnxruntime: two overwrite each other's files."""
    packages = installed_packages()
    extra = "gpu" if num_gpus() else "cpu"
    if len(packages) > 1:
        versions = " and ".join(f"{one} {version(one)}" for one in packages)
        return Finding(
            PROBLEM,
            f"{versions} are both installed, and one has overwritten the other",
            f"Run '{UNINSTALL}', then 'pip install \"fdmo[{extra}]\"'.",
        )
    if not packages and find_spec("onnxruntime") is None:
        return Finding(
            PROBLEM,
            "not installed: nothing can be exported, and no exported file runs",
            f"Run 'pip install \"fdmo[{extra}]\"'.",
        )
    if packages == ["onnxruntime"] and extra == "gpu":
        return Finding(
            WARNING,
            f"onnxruntime {version('onnxruntime')} is built for the CPU, but there is a GPU",
            f"Run '{UNINSTALL}', then 'pip install \"fdmo[gpu]\"'.",
        )
    if not packages:
        return Finding(OK, "of another package than onnxruntime and onnxruntime-gpu")
    return Finding(OK, f"{packages[0]} {version(packages[0])}")


def check_provider(provider: Provider) -> Finding:
    """Start a provider that the build lists: many lack a library."""
    runtime = import_onnxruntime()
    name = ONNXRUNTIME_NAMES[provider]
    if name not in runtime.get_available_providers():
        return Finding(OK, f"{name} is not in this build")
    obstacle = _find_obstacle(runtime, provider)
    if obstacle is None:
        return Finding(OK, f"{name} starts")
    if not num_gpus():
        return Finding(OK, f"{name} is in this build, but there is no GPU: {obstacle.what}")
    return Finding(
        WARNING if provider == "tensorrt" else PROBLEM,
        f"{name} is in this build, but does not start: {obstacle.what}",
        f"{obstacle.advice}.",
    )


def _find_obstacle(runtime: ModuleType, provider: Provider) -> Obstacle | None:
    """Return what keeps a provider from starting: a library, or that a session does not take it."""
    name = ONNXRUNTIME_NAMES[provider]
    if provider != "cpu":
        obstacle = find_obstacle(runtime, provider=provider, onnxruntime_name=name)
        if obstacle is not None or provider == "tensorrt":  # which leaves an addition to others
            return obstacle
    session = runtime.InferenceSession(_addition(), providers=[name], enable_fallback=0)
    if name in session.get_providers():
        return None
    return Obstacle("a session does not take it", "Read what onnxruntime has written to stderr")


def _addition() -> bytes:
    """Return the bytes of a model that adds a number to itself."""
    from onnx import TensorProto, helper

    from fdmo_export.contract import OPSET

    numbers = [helper.make_tensor_value_info(one, TensorProto.FLOAT, [1]) for one in ("x", "y")]
    node = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "addition", numbers[:1], numbers[1:])
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model_gen_version(graph, opset_imports=opsets)
    content: bytes = model.SerializeToString()
    return content
