"""The manifest of a run folder: size and digest of every file that is finished.

Checkpoints carry a digest of their own while the run goes on, for processes write them apart; see
:mod:`fdmo_core.sealed`. A file that says by being there that something is finished is listed
before it is written, so that it is never there unlisted.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fdmo_core.errors import RunFolderError
from fdmo_core.files import write_json
from fdmo_core.json_files import read_json

MANIFEST_FILE = "manifest.json"
CONFIG_FILE, ENVIRONMENT_FILE = "config.toml", "environment.json"
METRICS_FILE = "metrics.json"  # the last file of a run
NOT_LISTED = (MANIFEST_FILE, "log.jsonl", "lock.json")  # they change after they are written
FORMAT_VERSION = 1


class Fingerprint(NamedTuple):
    """What tells a file's content from any other.

    Attributes:
        bytes: Its size.
        sha256: Hexadecimal digits.
    """

    bytes: int
    sha256: str


def fingerprint(content: bytes) -> Fingerprint:
    """Return the fingerprint of a file that is yet to be written."""
    return Fingerprint(len(content), hashlib.sha256(content).hexdigest())


def fingerprint_file(path: Path) -> Fingerprint:
    """Return the fingerprint of a file; OSError where it cannot be read."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Fingerprint(file.tell(), digest)


def add_to_manifest(
    folder: Path, names: Iterable[str], *, soon: Mapping[str, bytes] | None = None
) -> None:
    """List files of a run folder, or list them anew.

    Args:
        folder: The run folder.
        names: Of files that are there, relative to the folder, with ``/`` between parts.
        soon: What files will hold that are written next, by name.
    """
    listed = read_manifest(folder) if (folder / MANIFEST_FILE).exists() else {}
    listed |= {name: fingerprint_file(folder / name) for name in names}
    listed |= {name: fingerprint(content) for name, content in (soon or {}).items()}
    _write(folder, listed)


def list_anew(folder: Path, part: str) -> None:
    """List all files of a part of a run anew; without a manifest nothing is done.

    Args:
        folder: The run folder.
        part: A folder in it, such as ``"export"``.
    """
    if not (folder / MANIFEST_FILE).exists():
        return
    kept = {name: one for name, one in read_manifest(folder).items() if not _is_in(name, part)}
    names = [file.relative_to(folder).as_posix() for file in files_below(folder / part)]
    _write(folder, kept | {name: fingerprint_file(folder / name) for name in names})


def _write(folder: Path, listed: Mapping[str, Fingerprint]) -> None:
    files = {name: one._asdict() for name, one in sorted(listed.items())}
    write_json(folder / MANIFEST_FILE, {"format": FORMAT_VERSION, "files": files})


def _is_in(name: str, part: str) -> bool:
    return name.startswith(f"{part}/")


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and those in it, without hidden ones."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]


def read_manifest(folder: Path) -> dict[str, Fingerprint]:
    """Return the fingerprints of a run folder's files by name.

    Raises:
        RunFolderError: The manifest is missing or damaged.
    """
    file = folder / MANIFEST_FILE
    try:
        content: dict[str, Any] = read_json(file)
        if content["format"] != FORMAT_VERSION:
            raise ValueError(f"its format is {content['format']!r}")
        return {
            str(name): Fingerprint(int(one["bytes"]), str(one["sha256"]))
            for name, one in content["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise RunFolderError(
            f"{file} cannot be read: {error!r}. Expected the list of the run's files as fdmo wrote "
            f"it. Restore it from a copy; without it nobody knows whether the files are whole."
        ) from error


def require_intact(folder: Path, *names: str, part: str = "") -> None:
    """Raise a RunFolderError unless files are what the run's manifest says.

    A folder without a manifest, which fdmo before 0.2 wrote, is taken as it is.

    Args:
        folder: The run folder.
        names: Files, relative to the folder; those that are not listed are left to who reads them.
        part: A folder in it, such as ``"dictionary"``, of which all listed files are compared.
    """
    if not (folder / MANIFEST_FILE).exists():
        return
    listed = read_manifest(folder)
    chosen = {name for name in listed if name in names or (part and _is_in(name, part))}
    for name in sorted(chosen):
        problem = describe_damage(folder / name, listed[name])
        if problem:
            raise RunFolderError(
                f"{folder / name} is not what the run wrote: {problem}. Expected the file that "
                f"{MANIFEST_FILE} lists. Restore it from a copy, or train again."
            )


def describe_damage(path: Path, expected: Fingerprint) -> str:
    """Return in what a file differs from what is expected; "" if in nothing."""
    try:
        size = path.stat().st_size
        if path.is_file() and size != expected.bytes:
            return f"it has {size} bytes instead of {expected.bytes}"
        if fingerprint_file(path) != expected:
            return "its SHA-256 is another one"
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return ""
