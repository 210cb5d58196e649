"""``make fuzz``: let atheris look for bytes that crash a target, for so many seconds.

    python tests/fuzz/search.py TARGET SECONDS [SEED]

Bytes that crash are written to ``fuzz/TARGET/`` and the exit code is not 0.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fdmo_core", "fdmo_plugins", "fdmo_export"]):
    from targets import TARGETS, survives


def main() -> None:
    """Run one target."""
    name, seconds, *seed = sys.argv[1:]
    target = TARGETS[name]
    folder = Path("fuzz", name)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(content)

    def once(content: bytes) -> None:
        survives(target.read, content)

    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed[0] if seed else 1}",
        "-max_len=65536",
        "-timeout=20",  # seconds after which one input counts as a hang
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
