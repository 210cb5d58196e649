"""Golden examples: a few images with the answers that a file must give, inside the file."""

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_GOLDEN = 8
LONGEST_SIDE = 256  # pixels; larger images are scaled down before they become examples


@dataclass(frozen=True)
class GoldenExample:
    """One input and what the trained network, run by torch on the training path, makes of it.

    Attributes:
        input: RGB, shape ``(H, W, 3)``, uint8; or letterboxed, ``(3, S, S)``, uint8; or features,
            ``(F,)``, float32.
        outputs: By name of the contract: probabilities, logits and, of a landmark head, landmarks
            and visibility. Without the batch, float32.
    """

    input: NDArray[Any]
    outputs: Mapping[str, NDArray[np.float32]]

    def as_dict(self) -> dict[str, Any]:
        """Return the example as plain data; the input is base64 of zlib's deflated bytes."""
        return {
            "shape": list(self.input.shape),
            "dtype": str(self.input.dtype),
            "data": base64.b64encode(zlib.compress(self.input.tobytes(), 9)).decode(),
            "outputs": {name: value.tolist() for name, value in self.outputs.items()},
        }


MAX_EXAMPLE_BYTES = 2**28  # an image of 64 million pixels, the default limit, has fewer


def read_golden(document: Sequence[Mapping[str, Any]]) -> list[GoldenExample]:
    """Return the examples of a file's metadata."""
    examples = []
    for one in document:
        dtype = np.dtype(one["dtype"])
        size = math.prod(one["shape"]) * dtype.itemsize
        if not 0 <= size <= MAX_EXAMPLE_BYTES:
            raise ValueError(f"an example of {size} bytes")
        packed = zlib.decompressobj()  # gives no more than is asked for, whatever is packed
        data = packed.decompress(base64.b64decode(one["data"]), max(1, size))
        if packed.unconsumed_tail:
            raise ValueError(f"an example that unpacks to more than its {size} bytes")
        array = np.frombuffer(data, dtype=dtype).reshape(one["shape"])
        outputs = {name: np.array(v, dtype=np.float32) for name, v in one["outputs"].items()}
        examples.append(GoldenExample(array, outputs))
    return examples
