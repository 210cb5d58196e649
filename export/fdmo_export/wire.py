"""The outermost layer of an ONNX file: what it says of itself, read before anything loads it.

An ONNX file is one protobuf message: a row of fields, each with a number, a type and a length. The
few fields that matter here lie on the outside, so neither onnx nor a copy of the weights is needed.
"""

from collections.abc import Iterator
from typing import NamedTuple

IR_VERSION = 1  # number of the field of ModelProto; a whole number, and in practice the first field
METADATA_PROPS = 14  # a message of two texts for each entry
KEY, VALUE = 1, 2

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # types of fields
WIDTHS = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: Which field it is.
        type: How it is written.
        start: Where its content begins, in bytes.
        stop: Where its content ends.
    """

    number: int
    type: int
    start: int
    stop: int


def looks_like_onnx(content: bytes) -> bool:
    """Return whether a file begins as ONNX files do."""
    return content[:1] == bytes([IR_VERSION << 3 | VARINT])


def metadata_places(content: bytes) -> dict[str, slice]:
    """Return where the value of each entry of the metadata lies in the file.

    Args:
        content: The whole file.

    Raises:
        ValueError: It ends within a field, or is no protobuf message.
    """
    places = {}
    for one in _fields(content, 0, len(content)):
        if one.number == METADATA_PROPS and one.type == BYTES:
            entry = {part.number: part for part in _fields(content, one.start, one.stop)}
            if KEY in entry and VALUE in entry:
                key = content[entry[KEY].start : entry[KEY].stop].decode()
                places[key] = slice(entry[VALUE].start, entry[VALUE].stop)
    return places


def _fields(content: bytes, start: int, stop: int) -> Iterator[Field]:
    """Yield the fields of the message between two places."""
    while start < stop:
        tag, start = _varint(content, start)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, end = _varint(content, start)
        elif kind == BYTES:
            length, start = _varint(content, start)
            end = start + length
        elif kind in WIDTHS:
            end = start + WIDTHS[kind]
        else:
            raise ValueError(f"byte {start} begins no field")
        if end > stop:
            raise ValueError(f"byte {start} begins a field that goes on to byte {end}")
        yield Field(number, kind, start, end)
        start = end


def _varint(content: bytes, start: int) -> tuple[int, int]:
    """Return a whole number, written in groups of seven bits, and where it ends."""
    value = 0
    for place, byte in enumerate(content[start : start + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, start + place + 1
    raise ValueError(f"byte {start} begins no whole number")
