"""Where the files of DeepFashion lie: the old release and the new one differ by two folders."""

from dataclasses import dataclass
from pathlib import Path

from fdmo_core import ConfigError, DataError

ANNOTATION_FOLDERS = ("Anno_coarse", "Anno")  # new, old
IMAGE_FOLDERS = ("Img", "")  # what the paths of the lists, "img/...", are relative to
CATEGORIES = "list_category_cloth.txt"
LABELS = "list_category_img.txt"
BOXES = "list_bbox.txt"
LANDMARKS = "list_landmarks.txt"
PARTITION = "Eval/list_eval_partition.txt"

EXPECTED = (
    f"Expected Anno_coarse/ (or Anno/, of the old release) with {CATEGORIES}, {LABELS}, {BOXES} "
    f"and {LANDMARKS}, {PARTITION}, and the images in Img/img/ (or img/)."
)


@dataclass(frozen=True)
class Layout:
    """The places of one copy.

    Attributes:
        root: The folder above all.
        annotations: Folder of the lists, relative to the root.
        images: What the listed paths are relative to, relative to the root; may be empty.
    """

    root: Path
    annotations: str
    images: str

    def list_path(self, name: str) -> str:
        """Return the path of a list, relative to the root."""
        return name if "/" in name else f"{self.annotations}/{name}"

    def image_path(self, listed: str) -> str:
        """Return a listed path, relative to the root."""
        return f"{self.images}/{listed}" if self.images else listed


def find_layout(root: str) -> Layout:
    """Return where the files lie below ``data.root``.

    Raises:
        ConfigError: The setting is empty.
        DataError: Something is not there.
    """
    if not root:
        raise ConfigError(
            "data.root is empty. Expected the folder with DeepFashion's Category and Attribute "
            "Prediction Benchmark. Set data.root."
        )
    folder = Path(root).expanduser()
    annotations = next((one for one in ANNOTATION_FOLDERS if (folder / one).is_dir()), None)
    images = next((one for one in IMAGE_FOLDERS if (folder / one / "img").is_dir()), None)
    if annotations is None or images is None:
        missing = "lists" if annotations is None else "images"
        raise DataError(
            f"'{folder}' has no folder of DeepFashion's {missing}. {EXPECTED} Correct data.root, "
            f"or unpack the archives there."
        )
    layout = Layout(folder, annotations, images)
    for name in (CATEGORIES, LABELS, BOXES, LANDMARKS, PARTITION):
        if not (folder / layout.list_path(name)).is_file():
            raise DataError(
                f"'{folder / layout.list_path(name)}' is not there. {EXPECTED} Download the file, "
                f"or correct data.root."
            )
    return layout
