from collections import defaultdict

import numpy as np

from fdmo_plugins.datasets.table.images import contradictions
from fdmo_plugins.datasets.table.rows import PackedTexts, Rows


def random_rows(seed: int, *, with_boxes: bool) -> Rows:
    rng = np.random.default_rng(seed)
    count = 200
    boxes = rng.integers(0, 2, (count, 4)).astype(np.float32)
    boxes[rng.random(count) < 0.3] = np.nan
    return Rows(
        numbers=np.arange(count),
        paths=PackedTexts(b"", np.zeros(count, dtype=np.int64)),
        path_keys=rng.integers(0, 60, count) * 2**50 - 2**55,
        folder_keys=np.zeros(count, dtype=np.int64),
        labels=(rng.random(count) < 0.1).astype(np.int32),
        label_names=("a", "b"),
        splits=(rng.random(count) < 0.1).astype(np.int8),
        boxes=boxes if with_boxes else boxes[:, :0],
        landmarks=np.zeros((count, 0, 3), dtype=np.float32),
    )


def test_contradictions_are_those_that_a_plain_loop_finds() -> None:
    for seed in range(4):
        rows = random_rows(seed, with_boxes=seed % 2 == 0)
        splits, labels = defaultdict(set), defaultdict(set)
        items = [
            (int(key), str(box.tolist()))
            for key, box in zip(rows.path_keys, rows.boxes, strict=True)
        ]
        for row, item in enumerate(items):
            splits[item[0]].add(int(rows.splits[row]))
            labels[item].add(int(rows.labels[row]))
        in_two = {row for row, item in enumerate(items) if len(splits[item[0]]) > 1}
        two_labels = {row for row, item in enumerate(items) if len(labels[item]) > 1}

        found = contradictions(rows)

        assert in_two
        assert two_labels
        assert {row for row, reason in found.items() if "in the splits" in reason} == in_two
        assert found.keys() == in_two | two_labels
