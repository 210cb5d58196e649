"""Images that a table lists, with labels and maybe splits, boxes and landmarks."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fdmo_core import DataError, Dataset, DatasetConfig, Splits
from fdmo_plugins.datasets.held_out import TEST, TRAIN, VAL, nothing_drawn
from fdmo_plugins.datasets.layout import SPLITS
from fdmo_plugins.datasets.table.columns import BOX_COLUMNS, Columns, find_columns, mirrored_pairs
from fdmo_plugins.datasets.table.images import drawn_splits
from fdmo_plugins.datasets.table.opening import OpenedTable, existing_table, open_rows
from fdmo_plugins.datasets.table.parsing import BoxFormat, Parser
from fdmo_plugins.datasets.table.reading import Table, open_table
from fdmo_plugins.datasets.table.rows import Rows
from fdmo_plugins.datasets.table.split import TableSplit, digest_of


class TableConfig(DatasetConfig):
    """Options of :class:`TableDataset`."""

    name: Literal["table"] = "table"
    file: str = Field(default="", description="The table: a .csv, .tsv or .parquet file.")
    root: str = Field(
        default="", description="Folder that paths are relative to; empty for the table's own."
    )
    path_column: str = Field(default="path", min_length=1, description="Column of image paths.")
    label_column: str = Field(default="label", min_length=1, description="Column of class names.")
    split_column: str = Field(
        default="split", description="Column with train, val or test; empty to draw the splits."
    )
    box_columns: tuple[str, ...] = Field(
        default=BOX_COLUMNS, description="Four columns of the box, one with four numbers, or none."
    )
    box_format: BoxFormat = Field(
        default="corners",
        description="corners: left, top, right, bottom; size: left, top, width, height.",
    )
    landmarks: bool = Field(
        default=True, description="Whether columns NAME_x, NAME_y and NAME_v are landmarks."
    )
    delimiter: str = Field(
        default="", max_length=1, description="Between cells; empty for that of the ending."
    )
    encoding: str = Field(default="utf-8", min_length=1, description="Encoding of CSV and TSV.")
    val_share: float = Field(
        default=0.1, ge=0, lt=1, description="Share of each class to validate with, if no row says."
    )
    test_share: float = Field(
        default=0.2, ge=0, lt=1, description="Share of each class to test with, if no row says."
    )
    max_unreadable_share: float = Field(
        default=0.01, ge=0, le=1, description="Share of the rows that may be unusable."
    )
    max_pixels: int = Field(
        default=64_000_000,
        ge=1,
        le=178_000_000,  # Pillow refuses more by itself
        description="Width times height above which an image counts as unreadable.",
    )
    allow_outside_root: bool = Field(
        default=False, description="Whether paths may be absolute or contain '..'."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.val_share + self.test_share >= 1:
            raise ValueError(
                f"val_share {self.val_share:g} and test_share {self.test_share:g} leave nothing "
                f"to train with. Expected a sum below 1. Lower one of them."
            )
        if len(self.box_columns) not in {0, 1, 4}:
            raise ValueError(
                f"box_columns names {len(self.box_columns)} columns. Expected four, one with four "
                f"numbers, or none. Correct it."
            )
        return self


class TableDataset(Dataset):
    """A person's own images as a CSV, TSV or Parquet file lists them, a row for each.

    The columns ``path`` and ``label`` must be there; ``split``, a box and landmarks may be. A
    split that no row names is drawn from the training images, class by class, by its share; a
    class always keeps an image to train with, and rows of one image stay together. The class
    names are those of the training rows, sorted.

    No image is decoded when the data set is opened: each folder is listed once. Rows that cannot
    be used are listed in ``skipped`` with the reason, up to ``max_unreadable_share`` of all. The
    digest follows the rows and the sizes and times of change of the files.

    Args:
        config: Where the table is and what its columns say.
        seed: Decides which images of a class are drawn, one class apart from the others.
    """

    config_class: ClassVar[type[DatasetConfig]] = TableConfig
    config: TableConfig

    def load(self) -> Splits:
        """Return the splits; errors as in :meth:`Dataset.load`."""
        file = existing_table(self.config.file)
        root = Path(self.config.root).expanduser() if self.config.root else file.parent
        table = open_table(file, delimiter=self.config.delimiter, encoding=self.config.encoding)
        columns = self._columns(table)
        opened = open_rows(
            table,
            Parser(columns, self.config.box_format, self.config.allow_outside_root),
            root,
            max_faulty_share=self.config.max_unreadable_share,
        )
        class_names = _class_names(opened.rows)
        rows = replace(opened.rows, splits=self._with_drawn_splits(opened.rows))
        landmark_names = tuple(one.name for one in columns.landmarks)
        train, val, test = (self._split(root, rows, class_names, at) for at in range(len(SPLITS)))
        return Splits(
            class_names=class_names,
            train=train,
            val=val,
            test=test,
            digest=digest_of(rows, opened.sizes, (*class_names, "", *landmark_names)),
            landmark_names=landmark_names,
            mirrored_landmarks=mirrored_pairs(landmark_names),
            skipped=_skipped(opened, class_names, f"{file.name} {table.unit}"),
        )

    def _columns(self, table: Table) -> Columns:
        return find_columns(
            table.header,
            path=self.config.path_column,
            label=self.config.label_column,
            split=self.config.split_column,
            box=self.config.box_columns,
            landmarks=self.config.landmarks,
        )

    def _with_drawn_splits(self, rows: Rows) -> NDArray[np.int8]:
        """Return the split of each row, those that no row names drawn from train."""
        shares = {VAL: self.config.val_share, TEST: self.config.test_share}
        absent = {split: share for split, share in shares.items() if split not in rows.splits}
        splits = drawn_splits(rows, absent, seed=self.seed)
        for split, share in absent.items():
            if share > 0 and split not in splits:
                largest = np.bincount(rows.labels[splits == TRAIN]).max()
                raise nothing_drawn(SPLITS[split], share, largest=int(largest), sample="image")
        return splits

    def _split(
        self, root: Path, rows: Rows, class_names: tuple[str, ...], split: int
    ) -> TableSplit:
        own = np.flatnonzero(rows.splits == split)
        places = {name: label for label, name in enumerate(class_names)}
        labels = np.array([places.get(name, -1) for name in rows.label_names], dtype=np.int64)
        return TableSplit(
            root=root,
            paths=rows.paths,
            boxes=rows.boxes,
            landmarks=rows.landmarks,
            rows=own,
            labels=labels[rows.labels[own]],
            max_pixels=self.config.max_pixels,
        )


def _class_names(rows: Rows) -> tuple[str, ...]:
    """Return the labels of the training rows, sorted.

    Raises:
        DataError: There are fewer than two, or another split has one more.
    """
    of_split = [
        {rows.label_names[label] for label in np.unique(rows.labels[rows.splits == split])}
        for split in range(len(SPLITS))
    ]
    class_names = tuple(sorted(of_split[TRAIN]))
    if len(class_names) < 2:
        raise DataError(
            f"The training rows have {len(class_names)} class(es): {', '.join(class_names)}. "
            f"Expected at least 2. Check the columns of labels and splits."
        )
    for split in (VAL, TEST):
        strangers = sorted(of_split[split] - of_split[TRAIN])
        if strangers:
            raise DataError(
                f"Classes of {SPLITS[split]} without a training row: {', '.join(strangers)}. "
                f"Expected every class of {SPLITS[split]} in train, under the same name. Add "
                f"training rows, correct the name, or remove the rows."
            )
    return class_names


def _skipped(opened: OpenedTable, class_names: tuple[str, ...], where: str) -> dict[str, str]:
    """Return why rows and classes were left out, by their place in the table or their name."""
    skipped = {f"{where} {number}": reason for number, reason in opened.faults.items()}
    for name in sorted(set(opened.rows.label_names) - {*class_names, ""}):
        skipped[f"class {name}"] = "The class has no usable training row and was left out."
    return skipped
