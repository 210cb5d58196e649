"""From the labels and splits that a file holds to classes and codes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError
from fdmo_plugins.datasets.held_out import TEST, TRAIN, VAL
from fdmo_plugins.datasets.layout import SPLITS


def read_labels(
    raw: NDArray[Any], class_names: tuple[str, ...] | None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return names and the number of the name of each row.

    Text is the names, in order of the alphabet. Numbers are names too, in their own order, so
    that gaps and negative ones mean nothing; floats must be whole. Where the file lists class
    names, numbers count them from 0.

    Args:
        raw: Shape ``(N,)``.
        class_names: That the file lists.

    Returns:
        Names, and labels ``(N,)``.

    Raises:
        DataError: A label is neither a whole number nor text, or counts no class name.
    """
    if class_names is not None:
        return class_names, _counted(_numbers(raw), class_names)
    if raw.dtype.kind in "US":
        values, labels = np.unique(_texts(raw), return_inverse=True)
        if "" in values:
            row = int(np.flatnonzero(labels == 0)[0])
            raise DataError(
                f"The label of row {row} is empty. Expected a name. Fill it in, or remove the row."
            )
    else:
        values, labels = np.unique(_numbers(raw), return_inverse=True)
    return tuple(map(str, values.tolist())), labels.astype(np.int64)


def _texts(raw: NDArray[Any]) -> NDArray[np.str_]:
    return np.char.decode(raw, "utf-8", "backslashreplace") if raw.dtype.kind == "S" else raw


def _numbers(raw: NDArray[Any]) -> NDArray[Any]:
    if raw.dtype.kind in "iu":
        return raw
    if raw.dtype.kind == "b":
        return raw.astype(np.int64)
    if raw.dtype.kind != "f":
        raise DataError(
            f"The labels are of the type {raw.dtype}. Expected whole numbers or text, and numbers "
            f"where the file lists class names. Convert them before saving."
        )
    values = raw.astype(np.float64)
    broken = ~np.isfinite(values) | (values != np.trunc(values)) | (np.abs(values) >= 2.0**53)
    if broken.any():
        row = int(broken.argmax())
        raise DataError(
            f"The label of row {row} is {values[row]:g}, and {int(broken.sum())} row(s) have such "
            f"labels. Expected whole numbers or text. Is it the value of a regression? Turn it "
            f"into classes first."
        )
    return values.astype(np.int64)


def _counted(numbers: NDArray[Any], class_names: tuple[str, ...]) -> NDArray[np.int64]:
    outside = (numbers < 0) | (numbers >= len(class_names))
    if outside.any():
        row = int(outside.argmax())
        raise DataError(
            f"The label of row {row} is {numbers[row]}, and the file lists {len(class_names)} "
            f"class names. Expected 0 to {len(class_names) - 1}. Correct the label or the names."
        )
    return numbers.astype(np.int64)


def read_splits(raw: NDArray[Any]) -> NDArray[np.int8]:
    """Return the code of each row's split: 0 for train, 1 for val, 2 for test.

    Args:
        raw: Names or codes. Shape ``(N,)``.

    Raises:
        DataError: One is neither.
    """
    codes = np.full(len(raw), -1, dtype=np.int8)
    values = _texts(raw) if raw.dtype.kind in "US" else raw
    for code, name in enumerate(SPLITS):
        codes[values == (name if raw.dtype.kind in "US" else code)] = code
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        raise DataError(
            f"The split of row {row} is {values[row].item()!r}. Expected {', '.join(SPLITS)}, or "
            f"0, 1, 2 for them. Correct it, or set data.split_key = '' to draw the splits."
        )
    return codes


def classes_to_learn(
    names: tuple[str, ...], labels: NDArray[np.int64], splits: NDArray[np.int8]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the classes of the training rows alone, and labels that count those.

    Args:
        names: Of all rows.
        labels: Shape ``(N,)``.
        splits: Shape ``(N,)``.

    Raises:
        DataError: There are fewer than two, or another split has one more.
    """
    learned = np.bincount(labels[splits == TRAIN], minlength=len(names)) > 0
    strangers = [
        f"{names[label]} ({SPLITS[split]})"
        for split in (VAL, TEST)
        for label in np.unique(labels[splits == split]).tolist()
        if not learned[label]
    ]
    if strangers:
        raise DataError(
            f"Classes without a training row: {', '.join(strangers)}. Expected every class of val "
            f"and test in train. Add training rows, correct the labels, or remove the rows."
        )
    if learned.sum() < 2:
        known = [name for name, is_there in zip(names, learned, strict=True) if is_there]
        raise DataError(
            f"The training rows have {len(known)} class(es): {', '.join(known)}. Expected at least "
            f"2. Check the labels, and the split if the file names it."
        )
    new = np.cumsum(learned) - 1
    return tuple(np.array(names)[learned].tolist()), new[labels]
