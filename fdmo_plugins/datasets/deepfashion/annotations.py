"""Puts the lists of DeepFashion together, so that each image has its label, box and landmarks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdmo_core import DataError, Visibility
from fdmo_plugins.datasets.annotated.classes import LEFT_OUT
from fdmo_plugins.datasets.annotated.faults import Faults, shown
from fdmo_plugins.datasets.annotated.file_index import REASONS, FileIndex, leaves_root
from fdmo_plugins.datasets.annotated.items import Items, box_faults, packed
from fdmo_plugins.datasets.deepfashion import landmarks as landmark_rows
from fdmo_plugins.datasets.deepfashion import layout as places
from fdmo_plugins.datasets.deepfashion.categories import NUM_CATEGORIES
from fdmo_plugins.datasets.deepfashion.images import Images
from fdmo_plugins.datasets.deepfashion.layout import Layout
from fdmo_plugins.datasets.deepfashion.lists import ListFile
from fdmo_plugins.datasets.layout import SPLITS

SPLIT_CODES = {name.encode(): code for code, name in enumerate(SPLITS)}


@dataclass(frozen=True)
class Annotations:
    """What the lists say.

    Attributes:
        category_names: In the order of the ids.
        items: Images that can be used; labels are ids less one.
        splits: Index of each item in train, val, test. Shape ``(N,)``, int8.
        num_listed: Images that are listed, with those that cannot be used.
    """

    category_names: tuple[str, ...]
    items: Items
    splits: NDArray[np.int8]
    num_listed: int


def read_annotations(layout: Layout, faults: Faults) -> Annotations:
    """Return what the lists say; what cannot be used is noted and left out.

    Raises:
        DataError: A file is no such list.
    """
    category_names = _category_names(layout)
    images = _read_images(layout, faults)
    splits = _read_splits(layout, images)
    boxes = _read_boxes(layout, images)
    landmarks = landmark_rows.read_landmarks(
        ListFile(
            layout.root,
            layout.list_path(places.LANDMARKS),
            landmark_rows.COLUMNS,
            landmark_rows.WIDTHS,
            faults,
        ),
        images,
        boxes,
    )
    paths, sizes = _find_files(layout, images)
    has_slot = landmarks[:, :, 2] != Visibility.ABSENT  # (N, K)
    items = Items(
        paths=packed(paths),
        numbers=np.zeros(len(images), dtype=np.int16),
        labels=images.labels,
        sizes=sizes,
        boxes=boxes,
        points=landmarks[has_slot],
        slots=np.nonzero(has_slot)[1].astype(np.int16),
        ends=np.cumsum(has_slot.sum(axis=1)),
    )
    rows = np.flatnonzero([name not in faults.images for name in images.names])
    num_listed = len(images.indices.keys() | faults.images)
    return Annotations(category_names, items.taken(rows), splits[rows], num_listed)


def _category_names(layout: Layout) -> tuple[str, ...]:
    """Return the names in the order of the ids, which are the numbers of the rows."""
    faults = Faults()
    path = layout.list_path(places.CATEGORIES)
    file = ListFile(layout.root, path, "category_name category_type", {1}, faults)
    names = [name for part in file.rows() for name in part.names]
    if faults.reasons or len(names) != NUM_CATEGORIES or len(set(names)) != len(names):
        first = "".join(f" {at}: {reason}" for at, reason in list(faults.reasons.items())[:1])
        raise DataError(
            f"'{layout.root / path}' has {len(names)} usable rows.{first} Expected "
            f"{NUM_CATEGORIES} different categories: their order gives the ids. Download the file "
            f"again; some copies lack the empty categories."
        )
    return tuple(names)


def _read_images(layout: Layout, faults: Faults) -> Images:
    path = layout.list_path(places.LABELS)
    file = ListFile(layout.root, path, "image_name category_label", {1}, faults)
    indices: dict[str, int] = {}
    lines: list[int] = []
    labels: list[int] = []
    for part in file.rows():
        columns = (part.names, part.lines.tolist(), part.numbers[:, 0].tolist())
        for name, line, label in zip(*columns, strict=True):
            problem = _problem(name, label) or ("It is listed twice." if name in indices else None)
            if problem is not None:
                faults.add(
                    file.line(line), f"Image '{shown(name.encode())}': {problem}", image=name
                )
            if name not in indices:
                indices[name] = len(indices)
                lines.append(line)
                labels.append(label - 1 if problem is None else LEFT_OUT)
    if not indices:
        raise DataError(
            f"'{layout.root / path}' lists no image. Expected a row for each. Download it again."
        )
    numbers = (np.array(lines, dtype=np.int64), np.array(labels, dtype=np.int64))
    return Images(file, indices, *numbers, faults)


def _problem(name: str, label: int) -> str | None:
    if leaves_root(name):
        return "The path leaves data.root. Expected one such as 'img/...'."
    if not 1 <= label <= NUM_CATEGORIES:
        return f"The category is {label}. Expected an id from 1 to {NUM_CATEGORIES}."
    return None


def _read_splits(layout: Layout, images: Images) -> NDArray[np.int8]:
    columns = "image_name evaluation_status (train, val or test)"
    number = SPLIT_CODES.__getitem__
    file = ListFile(layout.root, places.PARTITION, columns, {1}, images.faults, number)
    return images.column(file, width=1)[:, 1].astype(np.int8)


def _read_boxes(layout: Layout, images: Images) -> NDArray[np.float32]:
    """Return the boxes. Shape ``(N, 4)``, float32.

    Whether the files count pixels from 0 or 1, and whether the last one belongs to the box, is
    written nowhere: the numbers are taken as edges, counted from 0, which is off by at most one.
    """
    path = layout.list_path(places.BOXES)
    file = ListFile(layout.root, path, "image_name x_1 y_1 x_2 y_2", {4}, images.faults)
    column = images.column(file, width=4)
    boxes = column[:, 1:].astype(np.float32)
    images.note(file, column[:, 0], box_faults(boxes))
    return boxes


def _find_files(layout: Layout, images: Images) -> tuple[list[str], NDArray[np.int64]]:
    """Return the paths, written as on the disk, and the sizes in bytes."""
    index = FileIndex(layout.root / layout.images)
    sizes = np.zeros(len(images), dtype=np.int64)
    paths, otherwise_written, reasons = list(images.names), [], {}
    for row, listed in enumerate(images.names):
        if listed in images.faults.images:
            continue
        paths[row], sizes[row] = index.find(listed)
        if sizes[row] <= 0:
            reasons[row] = f"Image '{listed}': {REASONS[int(sizes[row])]}"
        elif paths[row] != listed:
            otherwise_written.append(row)
    taken = set(images.names)
    for row in otherwise_written:
        if paths[row] in taken:
            reasons[row] = f"Image '{images.names[row]}': Its file is that of '{paths[row]}'."
        taken.add(paths[row])
    images.note(images.label_list, images.lines, reasons)
    return [layout.image_path(path) for path in paths], sizes
