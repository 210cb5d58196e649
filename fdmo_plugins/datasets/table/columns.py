"""Which columns of a table say what, by their names."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from fdmo_core import DataError

BOX_COLUMNS = ("left", "top", "right", "bottom")
BOX_COLUMN = "box"
SPLIT_COLUMN = "split"


class LandmarkColumns(NamedTuple):
    """Columns of one landmark; ``visibility`` may be missing."""

    name: str
    x: str
    y: str
    visibility: str | None


@dataclass(frozen=True)
class Columns:
    """Columns of a table.

    Attributes:
        path: Of the image.
        label: Of the class name.
        split: Of the split's name, or None to draw the splits.
        box: None, one or four columns.
        landmarks: In the order of the header.
    """

    path: str
    label: str
    split: str | None
    box: tuple[str, ...]
    landmarks: tuple[LandmarkColumns, ...]

    def names(self) -> list[str]:
        """Return the columns that are to be read, each once."""
        optional = () if self.split is None else (self.split,)
        of_landmarks = [
            name for one in self.landmarks for name in (one.x, one.y, one.visibility) if name
        ]
        return list(dict.fromkeys((self.path, self.label, *optional, *self.box, *of_landmarks)))


def find_columns(
    header: Sequence[str],
    *,
    path: str,
    label: str,
    split: str,
    box: tuple[str, ...],
    landmarks: bool,
) -> Columns:
    """Return the columns that the settings name, as far as they are there.

    The split may be missing under its usual name, and so may the box, which may then be one
    column ``box``. Columns NAME_x and NAME_y are a landmark, NAME_v its visibility.

    Args:
        header: Names of all columns.
        path: Name of the column of paths.
        label: Name of the column of class names.
        split: Name of the column of splits; empty for none.
        box: One or four names; none for no box.
        landmarks: Whether columns of landmarks count.

    Raises:
        DataError: A column is missing, or has nearly the name of one that may be missing.
    """
    _require(header, {"path_column": path, "label_column": label})
    return Columns(
        path=path,
        label=label,
        split=_split_column(header, split),
        box=_box_columns(header, box),
        landmarks=_landmark_columns(header) if landmarks else (),
    )


def _split_column(header: Sequence[str], name: str) -> str | None:
    if not name or name in header:
        return name or None
    if name != SPLIT_COLUMN:
        _require(header, {"split_column": name})
    alike = [column for column in header if column.strip().lower() in {name, f"{name}s"}]
    if alike:
        raise DataError(
            f"The table has a column '{alike[0]}' and none of the name '{name}'. Expected to know "
            f"whether it says the split. Set data.split_column to '{alike[0]}', or to '' to have "
            f"the splits drawn."
        )
    return None


def _box_columns(header: Sequence[str], names: tuple[str, ...]) -> tuple[str, ...]:
    if names == BOX_COLUMNS and not set(names) & set(header):
        return (BOX_COLUMN,) if BOX_COLUMN in header else ()
    _require(header, {f"box_columns[{index}]": name for index, name in enumerate(names)})
    return names


def _landmark_columns(header: Sequence[str]) -> tuple[LandmarkColumns, ...]:
    found = []
    for column in header:
        name, underscore, axis = column.rpartition("_")
        if not (underscore and name and axis in {"x", "y", "v"}):
            continue
        if axis == "x" and f"{name}_y" in header:
            visibility = f"{name}_v" if f"{name}_v" in header else None
            found.append(LandmarkColumns(name, column, f"{name}_y", visibility))
        elif axis == "v" and not {f"{name}_x", f"{name}_y"} <= set(header):
            raise DataError(
                f"The table has the column '{column}', but not both {name}_x and {name}_y. "
                f"Expected all three for a landmark. Add the columns, rename '{column}', or set "
                f"data.landmarks = false."
            )
    return tuple(found)


def mirrored_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the landmarks that a mirror exchanges: names that differ in left and right only."""
    places = {name: index for index, name in enumerate(names)}
    return tuple(
        (index, places[other])
        for name, index in places.items()
        if "left" in name and (other := name.replace("left", "right")) in places
    )


def _require(header: Sequence[str], wanted: dict[str, str]) -> None:
    missing = {setting: name for setting, name in wanted.items() if name not in header}
    if not missing:
        return
    setting, name = next(iter(missing.items()))
    close = get_close_matches(name, header, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    if len(header) == 1 and any(sign in header[0] for sign in ";\t|,"):
        hint += " If the cells are divided by another character, set data.delimiter."
    if setting == "path_column" and not close:
        hint += " If the rows are features and not images, set data.name = 'features'."
    raise DataError(
        f"The table has no column '{name}'. Found: {', '.join(header)}.{hint} Rename the column, "
        f"or set data.{setting.partition('[')[0]}."
    )
