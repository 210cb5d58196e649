"""Reads JSON files that may come from anywhere: bounded in size and depth."""

import json
from pathlib import Path
from typing import Any

MAX_JSON_BYTES = 2**26  # the metrics of 10,000 classes have some 20 MB


def read_json(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Return what a JSON file holds.

    Args:
        path: The file.
        max_bytes: Above which nothing is parsed.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is too long, no JSON, or nested too deep.
    """
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it has more than {max_bytes} bytes")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("its values are nested too deep") from error
