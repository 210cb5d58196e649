"""Reads one annotation file of DeepFashion2: the garments of one image."""

import json
import re
from array import array
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError, Visibility
from fdmo_plugins.datasets.annotated.faults import shown
from fdmo_plugins.datasets.deepfashion2.categories import CATEGORIES

OTHER_KEYS = frozenset(("source", "pair_id"))
ITEM_KEY = re.compile(r"item([1-9]\d{0,3})")
LARGEST_PAIR_ID = 2**31
VISIBILITY = np.array(
    [Visibility.ABSENT, Visibility.OCCLUDED, Visibility.VISIBLE], dtype=np.float32
)
"""By DeepFashion2's code."""
CODES = frozenset(range(len(VISIBILITY)))


class ParsedItem(NamedTuple):
    """One garment, before it is known whether box and landmarks can be used.

    Attributes:
        number: From its key, ``item1`` or the like.
        label: Id of the category, less one.
        box: Shape ``(4,)``, float32.
        points: x, y and Visibility of the labelled landmarks. Shape ``(P, 3)``, float32.
        positions: Place of each in the category's list, from 0. Shape ``(P,)``, int16.
    """

    number: int
    label: int
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    positions: NDArray[np.int16]


class ParsedImage(NamedTuple):
    """What one file says.

    Attributes:
        pair_id: Which images show the same garments.
        items: Those that can be used.
        faults: Why others cannot, by key.
    """

    pair_id: int
    items: list[ParsedItem]
    faults: dict[str, str]


def parse_image(content: bytes) -> ParsedImage:
    """Return the garments that an annotation file lists.

    Raises:
        DataError: The file is no such annotation; the message says why.
    """
    image = _json(content)
    if not isinstance(image, dict):
        raise DataError(f"The file holds {shown(image)}. Expected a JSON object of items.")
    pair_id = image.get("pair_id")
    if type(pair_id) is not int or abs(pair_id) > LARGEST_PAIR_ID:
        raise DataError(f"pair_id is {shown(pair_id)}. Expected a number.")
    items, faults = [], {}
    for key, item in image.items():
        if key in OTHER_KEYS:
            continue
        try:
            items.append(_parse_item(key, item))
        except DataError as error:
            faults[key if ITEM_KEY.fullmatch(key) else shown(key)] = str(error)
    if not items and not faults:
        raise DataError("The file lists no item. Expected item1 at least.")
    return ParsedImage(pair_id, items, faults)


def _json(content: bytes) -> Any:
    try:
        # Bytes are taken as UTF-8, -16 or -32, with or without a byte order mark.
        return json.loads(content, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise DataError(
            f"The file has the byte 0x{error.object[error.start]:02x} at {error.start}. Expected "
            f"UTF-8. Convert the file."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"The file is broken ({error}). Expected JSON. Unpack it again.") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _parse_item(key: str, item: Any) -> ParsedItem:
    match = ITEM_KEY.fullmatch(key)
    if match is None or not isinstance(item, dict):
        raise DataError(f"The key is {shown(key)}. Expected item1, item2, ..., each an object.")
    category_id = item.get("category_id")
    if type(category_id) is not int or not 1 <= category_id <= len(CATEGORIES):
        raise DataError(f"category_id is {shown(category_id)}. Expected 1 to {len(CATEGORIES)}.")
    num_landmarks = CATEGORIES[category_id - 1].num_landmarks
    box = _numbers("bounding_box", item.get("bounding_box"), 4)
    landmarks = _numbers("landmarks", item.get("landmarks"), 3 * num_landmarks).reshape(-1, 3)
    codes = landmarks[:, 2]
    if not CODES.issuperset(codes.tolist()):
        raise DataError(f"Visibilities are {shown(codes.tolist())}. Expected 0, 1 or 2.")
    positions = np.flatnonzero(codes)
    points = landmarks[positions]
    points[:, 2] = VISIBILITY[points[:, 2].astype(int)]
    return ParsedItem(int(match[1]), category_id - 1, box, points, positions.astype(np.int16))


def _numbers(name: str, values: Any, length: int) -> NDArray[np.float32]:
    """Return a list of numbers. Shape ``(length,)``, float32."""
    try:
        if not isinstance(values, list) or len(values) != length:
            raise ValueError
        with np.errstate(over="ignore"):  # infinity is told of later
            return np.array(array("d", values), dtype=np.float32)  # refuses what only looks so
    except (TypeError, ValueError, OverflowError) as error:
        count = f" of {len(values)}" if isinstance(values, list) else ""
        raise DataError(f"{name} is {shown(values)}{count}. Expected {length} numbers.") from error
