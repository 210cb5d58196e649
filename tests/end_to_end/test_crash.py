"""Runs and exports that are killed at seeded moments end as those that were not."""

import json
import os
import subprocess
import sys
from pathlib import Path

KILLS = 25
KINDS = {"checkpoints", "cache", "dictionary", "metrics", "manifest", "exported", "time"}


def test_what_is_killed_and_gone_on_with_equals_what_was_not_killed(tmp_path: Path) -> None:
    script = Path(__file__).with_name("crashes.py")
    done = subprocess.run(
        [sys.executable, "-P", script, "--kills", str(KILLS), "--folder", tmp_path],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    kills = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(kills) >= KILLS
    assert {one["kind"] for one in kills} == KINDS
