"""Collects what is wrong with the annotations of a data set, so that one bad row stops nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fdmo_core import DataError

NAMED_IN_MESSAGES = 5  # rows, so that a message stays readable
SHOWN_OF_A_VALUE = 100  # characters


@dataclass
class Faults:
    """What was left out, and why.

    Attributes:
        reasons: By place, such as ``"Anno/list_bbox.txt line 17"``.
        images: Names of images that a fault concerns, so that none is blamed twice for one.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)

    def add(self, where: str, reason: str, *, image: str | None = None) -> None:
        """Note a fault; of several at one place the first is kept."""
        self.reasons.setdefault(where, reason)
        if image is not None:
            self.images.add(image)

    def update(self, faults: Iterable[tuple[str, str]]) -> None:
        """Note places with their reasons."""
        for where, reason in faults:
            self.add(where, reason)

    def require_few(self, total: int, *, max_share: float) -> None:
        """Check the number of faults.

        Args:
            total: How many images or items the annotations list.
            max_share: Share of them that may have a fault.

        Raises:
            DataError: There are more; the message names the first few.
        """
        if len(self.reasons) <= max_share * total:
            return
        first = [f"{where}: {reason}" for where, reason in self.reasons.items()]
        raise DataError(
            f"The annotations of {total} images or items have {len(self.reasons)} faults. Expected "
            f"at most a share of {max_share:g}. Correct the files or data.root, or raise "
            f"data.max_unreadable_share. The first of them:\n"
            + "\n".join(first[:NAMED_IN_MESSAGES])
        )


def shown(value: object) -> str:
    """Return a value from a file, or a line of it in bytes, as text that a message can hold."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else repr(value)
    return text if len(text) <= SHOWN_OF_A_VALUE else text[:SHOWN_OF_A_VALUE] + "..."
