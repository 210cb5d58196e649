"""Run the benchmarks and write benchmarks.json; arguments name the ones to run, others stay."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import attention
import checkpoints
import deployment
import deployment_int8
import deployment_predict
import loading
import per_feature
import phase2
import plugin_loading
import prefix
import sampling
import scaling
from measure import Benchmark

MODULES: dict[tuple[str, ...], Callable[[], list[Benchmark]]] = {
    ("phase2-step", "phase2-memory"): phase2.benchmarks,
    ("attention-step",): attention.benchmarks,
    ("checkpoints",): checkpoints.benchmarks,
    ("per-feature-time", "per-feature-memory"): per_feature.benchmarks,
    ("forward-shared", "phase1-shared", "phase1-cached", "cache-read"): prefix.benchmarks,
    ("loading",): loading.benchmarks,
    ("plugins-help", "plugins-list"): plugin_loading.benchmarks,
    (
        "onnx-eager",
        "onnx-shared",
        "onnx-eager-batch",
        "onnx-shared-batch",
        "preprocessing",
    ): deployment.benchmarks,
    ("phase1-scaling",): scaling.benchmarks,
    ("onnx-int8",): deployment_int8.benchmarks,
    ("classifier-overhead",): deployment_predict.overhead,
    ("predict",): deployment_predict.predict,
    (
        "smote-rate",
        "smote-rate-at-once",
        "smote-memory",
        "smote-memory-at-once",
        "sampling-rate",
    ): sampling.benchmarks,
}

RESULTS = Path("benchmarks.json")


def main(wanted: set[str]) -> None:
    """Run what is wanted, all if nothing is named."""
    known = {name for names in MODULES for name in names}
    if wanted - known:
        sys.exit(f"Unknown benchmarks: {wanted - known}. Expected some of: {sorted(known)}.")
    lines = [
        line
        for names, benchmarks in MODULES.items()
        if not wanted or wanted & set(names)
        for line in benchmarks()
        if not wanted or line.name in wanted
    ]
    for line in lines:
        limit = "" if line.limit is None else f", limit {line.limit:.2f}"
        print(
            f"{line.name}: {line.ours:.4g} against {line.baseline:.4g} {line.unit}, "
            f"ratio {line.ratio:.2f}{limit}"
        )
    kept = json.loads(RESULTS.read_text()) if wanted and RESULTS.is_file() else []
    found = {line["name"]: line for line in [*kept, *(one.as_dict() for one in lines)]}
    RESULTS.write_text(json.dumps(list(found.values()), indent=2))


if __name__ == "__main__":
    main(set(sys.argv[1:]))
