"""A run's feature dictionary as one file of numpy, for programs without fdmo or torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fdmo_core.files import replacing
from fdmo_core.interfaces import FeatureDictionary


def write_dictionary(path: Path, dictionary: FeatureDictionary, class_names: Sequence[str]) -> None:
    """Write all rows of a dictionary, in its order, uncompressed and without pickle.

    The names are those that ``fdmo train --data`` looks for in an .npz file.

    They are ``features`` (N, F), float32, joined over the streams; ``labels`` (N,), int64;
    ``sources`` (N,), int64, numbers of images in the training split; and ``class_names`` (C,),
    text.

    Args:
        path: The .npz file.
        dictionary: On the CPU.
        class_names: C names.

    Raises:
        RunFolderError: The file cannot be written.
    """
    features, labels = dictionary.store
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            features=features.numpy(),
            labels=labels.numpy(),
            sources=dictionary.sources.cpu().numpy(),
            class_names=np.array(class_names, dtype=np.str_),
        )
