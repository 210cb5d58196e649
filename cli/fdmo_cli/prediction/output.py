"""Where lines go: stdout, or a file to which a later run adds what is not in it yet."""

import csv
import errno
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from fdmo_cli.prediction.lines import Lines
from fdmo_core.errors import ConfigError
from fdmo_core.files import cannot_write
from fdmo_export.prediction import Prediction

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Kept(NamedTuple):
    """What an output file holds already.

    Attributes:
        files: Names of the files with an answer.
        size: Bytes of whole lines; what follows was cut.
        was_cut: Whether something follows.
    """

    files: frozenset[str]
    size: int
    was_cut: bool


NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP)  # of a file system that knows none, as some networks'
NOTHING = Kept(frozenset(), 0, was_cut=False)


class Output:
    """A file, or stdout, to which lines are added.

    Args:
        path: The file; None is stdout.
        lines: What they look like.
        kept: What the file holds already; the rest of it is cut off.

    Raises:
        ConfigError: Another run writes the file.
        RunFolderError: The file cannot be written.
    """

    def __init__(self, path: Path | None, lines: Lines, kept: Kept) -> None:
        self._path = path
        self._lines = lines
        self._file: BinaryIO = sys.stdout.buffer
        if path is not None:
            try:
                self._file = path.open("ab")
                _lock(self._file, path)
                if read_kept(path, lines) != kept:
                    raise _in_use(path)
                self._file.truncate(kept.size)
            except OSError as error:
                raise cannot_write(path, error) from error
        if not kept.size:
            self._write(lines.header)

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._path is not None:
            self._file.close()

    @property
    def is_shown(self) -> bool:
        """Whether a person sees the lines as they come."""
        return self._path is None and sys.stdout.isatty()

    def add(self, answers: Iterable[tuple[str, Prediction]]) -> None:
        """Write the answers of some files, at once.

        Raises:
            BrokenPipeError: Nobody reads stdout any more.
            RunFolderError: The file cannot be written.
        """
        self._write("".join(self._lines.line(file, one) for file, one in answers))

    def _write(self, text: str) -> None:
        content = text.encode("utf-8", "surrogateescape")  # names of files need not be UTF-8
        try:
            self._file.write(content)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise cannot_write(self._path or Path("stdout"), error) from error


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep other runs out until the file is closed, where the system can."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _in_use(path) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _in_use(path: Path) -> ConfigError:
    return ConfigError(
        f"Another run writes {path}. Expected one run for an output file. Wait for that one, or "
        f"choose another --out."
    )


def read_kept(path: Path, lines: Lines) -> Kept:
    """Return what an output file holds of an earlier run.

    Args:
        path: The file; it need not be there.
        lines: What this run would write.

    Raises:
        ConfigError: It holds something else.
    """
    if not path.exists():
        return NOTHING
    if not path.is_file() and not path.is_dir():  # a device may be read without an end
        raise ConfigError(
            f"{path} is a device or a pipe. Expected the name of a file, in which a later run "
            f"finds the answers. Choose another --out, or leave it out and redirect stdout."
        )
    try:
        with path.open("rb") as file:
            return _read_kept(file, lines)
    except OSError as error:
        raise cannot_write(path, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} holds something else than this run would write ({error}). Expected no such "
            f"file, or one that 'fdmo predict' began with the same file, dials and format. Choose "
            f"another --out, or delete it."
        ) from error


def _read_kept(file: BinaryIO, lines: Lines) -> Kept:
    files, size = set(), 0
    for record in _whole_records(file, is_csv=lines.format == "csv"):
        text = record.decode("utf-8", "surrogateescape")
        if size or not lines.header:
            name, model = _name_and_model(text, lines)
            if model != lines.model:
                raise ValueError(f"an answer of model {model}, not {lines.model}")
            files.add(name)
        elif text != lines.header:
            raise ValueError("another first line")
        size += len(record)
    file.seek(size)
    rest = file.read()
    start = (lines.header if not size and lines.header else lines.record_start).encode()
    if not rest.startswith(start) and not start.startswith(rest):
        # it would be cut off, and somebody else's file with no line's end would be lost
        raise ValueError("a last line that is no answer")
    return Kept(frozenset(files), size, was_cut=bool(rest))


def _whole_records(file: BinaryIO, *, is_csv: bool) -> Iterator[bytes]:
    """Yield records with their end; in CSV a line's end between quotes is none."""
    record = b""
    for line in file:
        record += line
        is_open = is_csv and record.count(b'"') % 2 == 1
        if line.endswith(b"\n") and not is_open:
            yield record
            record = b""


def _name_and_model(text: str, lines: Lines) -> tuple[str, str]:
    if lines.format == "csv":
        cells = next(csv.reader(io.StringIO(text, newline="")))
        return cells[0], cells[-1]
    document = json.loads(text)
    return document["file"], document["model"]
