"""Reads what an exported file says of itself, and refuses every file that is not whole and ours.

No onnxruntime, onnx or torch here: a wrong file gets its message before anything tries to load it.
"""

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from fdmo_core.errors import ExportError
from fdmo_export.contract import (
    DIGEST_KEY,
    GENERATOR_KEY,
    GOLDEN_KEY,
    MAX_FILE_BYTES,
    METADATA_ENTRIES,
    METADATA_FORMAT,
    METADATA_KEY,
    OUTPUT_PROBABILITIES,
)
from fdmo_export.golden import GoldenExample, read_golden
from fdmo_export.seal import file_digest, require_seal
from fdmo_export.wire import looks_like_onnx, metadata_places

EXPECTED = "Expected a file that 'fdmo export onnx' wrote."


class Description(NamedTuple):
    """What a file says of itself.

    Attributes:
        metadata: ``format``, ``fdmo`` and the entries of the contract.
        golden: The golden examples, a JSON document.
    """

    metadata: dict[str, Any]
    golden: str

    def golden_examples(self) -> list[GoldenExample]:
        """Return the golden examples.

        Raises:
            ExportError: There is none, or they are not as fdmo writes them.
        """
        try:
            found = read_golden(json.loads(self.golden))
            lacking = sum(OUTPUT_PROBABILITIES not in one.outputs for one in found)
        except (RecursionError, KeyError, TypeError, ValueError, zlib.error) as error:
            raise _wrong_golden(f"cannot be read ({error!r})") from error
        if not found or lacking:
            raise _wrong_golden(f"are {len(found)}, {lacking} of them without probabilities")
        return found


def _wrong_golden(how: str) -> ExportError:
    return ExportError(
        f"The golden examples {how}. Expected those that 'fdmo export onnx' wrote, without which "
        f"nothing is verified. Export the run again."
    )


def read_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        ExportError: It is not there, is a folder, or cannot be read.
    """
    if path.is_dir():
        raise ExportError(
            f"{path} is a folder. Expected an ONNX file. Pass the file in it, for instance "
            f"{path / 'model.onnx'}, or write one with 'fdmo export onnx RUN'."
        )
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise ExportError(
            f"{path} is not there. Expected an ONNX file. Write one with 'fdmo export onnx RUN'."
        ) from error
    except OSError as error:
        raise ExportError(
            f"{path} cannot be read: {error.strerror}. Expected an ONNX file that may be read. "
            f"Check its permissions."
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise ExportError(
            f"{path} has more than {MAX_FILE_BYTES} bytes, which no ONNX file has. {EXPECTED} "
            f"Check the path."
        )
    return content


def describe_file(path: Path) -> Description:
    """Return what a file says of itself, having checked it and the weights beside it, if any.

    Raises:
        ExportError: It is no file that this version wrote, or not as it was written.
    """
    description = describe_content(read_file(path), str(path))
    _require_weights(path, description.metadata.get("external_data"))
    return description


def describe_content(content: bytes, name: str) -> Description:
    """Return what a file says of itself, having checked it.

    Args:
        content: The file's bytes.
        name: What messages call it.

    Raises:
        ExportError: It is no file that this version wrote, or not as it was written.
    """
    if not content:
        raise ExportError(f"{name} is empty. {EXPECTED} Fetch the file again.")
    if not looks_like_onnx(content):
        raise ExportError(
            f"{name} is not an ONNX file. {EXPECTED} Check the path; a run folder is exported with "
            f"'fdmo export onnx RUN'."
        )
    try:
        places = metadata_places(content)
    except ValueError as error:
        raise ExportError(
            f"{name} is cut short or damaged: {error}, of {len(content)}. {EXPECTED} Fetch the "
            f"file again."
        ) from error
    if GENERATOR_KEY in places:
        raise ExportError(
            f"{name} is a generator, written with --part generator. Expected a classifier. Export "
            f"the run without --part; docs/onnx.md says what a generator is for."
        )
    if METADATA_KEY not in places:
        raise ExportError(
            f"{name} is an ONNX file, but not of fdmo: its metadata have no entry "
            f"'{METADATA_KEY}'. {EXPECTED} Run it with onnxruntime itself, or pass another file."
        )
    metadata = _read_metadata(content[places[METADATA_KEY]], name)
    require_seal(content, name)
    lacking = [one for one in METADATA_ENTRIES if one not in metadata]
    lacking += [one for one in (GOLDEN_KEY, DIGEST_KEY) if one not in places]
    if lacking:
        raise ExportError(
            f"{name} lacks {', '.join(lacking)} in its metadata. Expected all that 'fdmo export "
            f"onnx' writes. Export the run again."
        )
    return Description(metadata, content[places[GOLDEN_KEY]].decode())


def _read_metadata(text: bytes, name: str) -> dict[str, Any]:
    try:
        metadata: Any = json.loads(text)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise ExportError(
            f"{name} has metadata that are no JSON object: {text[:40].decode(errors='replace')!r}. "
            f"{EXPECTED} Export the run again."
        )
    found = metadata.get("format")
    if found != METADATA_FORMAT:
        raise ExportError(
            f"{name} is of format {found!r}, written by fdmo {metadata.get('fdmo')}. Expected "
            f"format {METADATA_FORMAT}, which this version of fdmo writes and reads. Export the "
            f"run again with this version, or install the one that wrote the file."
        )
    return metadata


def _require_weights(path: Path, external: Any) -> None:
    """Raise an ExportError if the weights beside a file are not those it was written with."""
    if external is None:
        return
    try:
        weights, digest = path.with_name(Path(external["file"]).name), external["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise ExportError(
            f"{path} has metadata that do not say where its weights are: 'external_data' is "
            f"{external!r}. {EXPECTED} Export the run again."
        ) from error
    if not weights.is_file():
        raise ExportError(
            f"{weights} is not there. Expected the weights of {path.name} beside it, for they do "
            f"not fit into one ONNX file. Keep both files in one folder."
        )
    if file_digest(weights) != digest:
        raise ExportError(
            f"{weights} does not belong to {path.name}, or was damaged: its digest is another one. "
            f"Expected the file that was written together with it. Fetch both files again."
        )
