"""What a check found, and what to do about it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "warning", "problem"]
OK: Status = "ok"
WARNING: Status = "warning"
PROBLEM: Status = "problem"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        status: ``problem`` where something does not work, ``warning`` where it works badly.
        found: What there is.
        advice: What to do; "" where nothing is.
    """

    status: Status
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return asdict(self)


Check = Callable[[], Finding]


def finding_of(check: Check) -> Finding:
    """Return what a check found; one that fails itself has found a problem."""
    try:
        return check()
    except Exception as error:  # a broken installation raises anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding(
            PROBLEM, f"cannot be checked: {reason}", "Repair what the reason names, then try again."
        )
