"""What is fuzzed: each target takes bytes from anywhere, and may refuse them in one way only.

A target returns, or raises an FdmoError; any other exception is a crash. The same targets are
driven by hypothesis in the suite and by atheris in ``make fuzz``.
"""

import io
import json
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from fdmo_core.checkpoint import FORMAT_VERSION as CHECKPOINT_FORMAT
from fdmo_core.checkpoint import read_checkpoint
from fdmo_core.config import read_toml, resolve_run
from fdmo_core.errors import FdmoError
from fdmo_core.images import read_rgb
from fdmo_core.manifest import add_to_manifest, read_manifest
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.run_lock import read_owner, this_process
from fdmo_core.sealed import write_sealed
from fdmo_export.opening import describe_content
from fdmo_plugins.datasets.annotated.faults import Faults
from fdmo_plugins.datasets.deepfashion.lists import ListFile
from fdmo_plugins.datasets.deepfashion2.parsing import parse_image
from fdmo_plugins.datasets.features.dataset import FeaturesConfig, FeaturesDataset
from fdmo_plugins.datasets.idx import read_idx
from fdmo_plugins.datasets.table.dataset import TableConfig, TableDataset

REGISTRY = Registry(load_plugins())


class Target(NamedTuple):
    """One reader.

    Attributes:
        read: Takes the bytes.
        seeds: Bytes that it can read, from which others are made.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


def survives(read: Callable[[bytes], object], content: bytes) -> None:
    """Read bytes, which may be refused; anything else that is raised is a crash."""
    with suppress(FdmoError):
        read(content)


@contextmanager
def file_of(content: bytes, name: str) -> Iterator[Path]:
    """Yield a file with the content."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.write_bytes(content)
        yield file


def config(content: bytes) -> None:
    """Read a configuration; one that is read must survive being written."""
    with file_of(content, "config.toml") as file:
        run = resolve_run(read_toml(file), REGISTRY)
        file.write_text(run.as_toml(), encoding="utf-8")
        assert resolve_run(read_toml(file), REGISTRY).as_dict() == run.as_dict()


def table(content: bytes) -> None:
    """Open a table of images."""
    with file_of(content, "table.csv") as file:
        settings = TableConfig(name="table", file=str(file), max_unreadable_share=1.0)
        TableDataset(settings, seed=0).load()


def deepfashion(content: bytes) -> None:
    """Read all rows of a list of DeepFashion."""
    with file_of(content, "list.txt") as file:
        columns = "image_name x_1 y_1 x_2 y_2"
        for rows in ListFile(file.parent, file.name, columns, {4}, Faults()).rows():
            assert rows.numbers.shape == (len(rows.names), 4)


def idx(content: bytes) -> None:
    """Read the images of an idx file."""
    with file_of(content, "images-idx3-ubyte") as file:
        assert read_idx(file, item_shape=(2, 3)).shape[1:] == (2, 3)


def image(content: bytes) -> None:
    """Decode an image of at most 10,000 pixels."""
    pixels = read_rgb(io.BytesIO(content), max_pixels=10_000)
    assert pixels.dtype == np.uint8
    assert pixels.shape[0] * pixels.shape[1] <= 10_000


def npz(content: bytes) -> None:
    """Open features in a numpy archive."""
    with file_of(content, "features.npz") as file:
        FeaturesDataset(FeaturesConfig(name="features", file=str(file)), seed=0).load()


def checkpoint(content: bytes) -> None:
    """Read a checkpoint. A digest is no signature: atheris finds out which one a file needs."""
    with file_of(content, "phase1.safetensors") as file:
        head, tensors = read_checkpoint(file)
        assert isinstance(head, dict)
        assert all(isinstance(one, torch.Tensor) for one in tensors.values())


def manifest(content: bytes) -> None:
    """Read the manifest of a run."""
    with file_of(content, "manifest.json") as file:
        read_manifest(file.parent)


def lock(content: bytes) -> None:
    """Read the lock of a run."""
    with file_of(content, "lock.json") as file:
        read_owner(file.parent)


def onnx(content: bytes) -> None:
    """Read what an exported file says of itself."""
    describe_content(content, "model.onnx")


def _config_seeds() -> list[bytes]:
    texts = ["", "seed = 3\n[data]\nname = 'digits'\n", "[phase1]\nbetas = [0.9, 0.99]\n"]
    return [text.encode() for text in texts] + [resolve_run({}, REGISTRY).as_toml().encode()]


def _table_seeds() -> list[bytes]:
    return [
        b"path,label,split\na.png,cat,train\nb.png,dog,val\n",
        b'path,label,x1,y1,x2,y2\n"a b.png",cat,0,0,1,1\n../c,dog,,,,\n',
        b"path;label\na.png;\xff\n",
    ]


def _list_seeds() -> list[bytes]:
    return [b"2\nimage_name  x_1 y_1 x_2 y_2\nimg/a.jpg 1 2 3 4\nimg/b.jpg 0 0 9 9\n", b"0\n"]


def _deepfashion2_seeds() -> list[bytes]:
    item = {
        "category_id": 1,
        "category_name": "short sleeve top",
        "bounding_box": [1, 2, 30, 40],
        "landmarks": [1, 2, 2] * 25,
        "style": 0,
    }
    return [json.dumps({"source": "user", "pair_id": 7, "item1": item}).encode(), b"{}"]


def _idx_seeds() -> list[bytes]:
    return [struct.pack(">IIII", 0x0803, 2, 2, 3) + bytes(12)]


def _image_seeds() -> list[bytes]:
    pixels = np.arange(10 * 9 * 3, dtype=np.uint8).reshape(10, 9, 3)
    seeds = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        seeds.append(buffer.getvalue())
    return seeds


def _npz_seeds() -> list[bytes]:
    buffer = io.BytesIO()
    features = np.arange(48, dtype=np.float32).reshape(12, 4)
    np.savez(buffer, features=features, labels=np.repeat([0, 1], [8, 4]))
    return [buffer.getvalue()]


def _checkpoint_seeds() -> list[bytes]:
    with file_of(b"", "phase1.safetensors") as file:
        head = {"format": CHECKPOINT_FORMAT, "done": 3, "total": 9, "optimizers": {}}
        write_sealed(file, head, {"module.weight": torch.arange(6.0).reshape(2, 3)})
        return [file.read_bytes()]


def _manifest_seeds() -> list[bytes]:
    with file_of(b"{}", "data.json") as file:
        add_to_manifest(file.parent, [file.name])
        return [(file.parent / "manifest.json").read_bytes()]


def _lock_seeds() -> list[bytes]:
    return [json.dumps(this_process()._asdict()).encode()]


def _onnx_seeds() -> list[bytes]:
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph)
    entry = model.metadata_props.add()
    entry.key, entry.value = "fdmo", json.dumps({"format": 2})
    return [model.SerializeToString()]


TARGETS = {
    "config": Target(config, _config_seeds),
    "table": Target(table, _table_seeds),
    "deepfashion": Target(deepfashion, _list_seeds),
    "deepfashion2": Target(parse_image, _deepfashion2_seeds),
    "idx": Target(idx, _idx_seeds),
    "image": Target(image, _image_seeds),
    "npz": Target(npz, _npz_seeds),
    "checkpoint": Target(checkpoint, _checkpoint_seeds),
    "manifest": Target(manifest, _manifest_seeds),
    "lock": Target(lock, _lock_seeds),
    "onnx": Target(onnx, _onnx_seeds),
}
