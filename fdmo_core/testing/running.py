"""Run checks one by one and report what came of each, whatever a component raises."""

import inspect
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from fdmo_core.config import describe_problems
from fdmo_core.errors import FdmoError
from fdmo_core.settings import read_settings
from fdmo_core.testing.expectations import Check, NotApplicable

_NEEDS = "Pass the settings that it needs, each with --set key=value."

Status = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Attributes:
        check: Its name.
        text: What it asks for, in words.
        status: Whether the component does so.
        reason: Why not, and what to read, or why it does not apply; empty where it passed.
        seconds: How long it took.
    """

    check: str
    text: str
    status: Status
    reason: str
    seconds: float


def outcomes_of(
    component: type[Any], settings: Mapping[str, Any], checks: Sequence[Check]
) -> Iterator[Outcome]:
    """Yield the outcome of each check; of the first alone, if that fails.

    Args:
        component: A component class.
        settings: For its config class; the name may be left out.
        checks: Of its kind. The first one constructs the component.
    """
    first, *others = checks
    started = time.perf_counter()
    try:
        config = read_settings(component.config_class, settings)
    except ValidationError as error:
        wrong = "; ".join(describe_problems(error, component.config_class))
        yield _outcome(first, "failed", f"The config is refused: {wrong}. {_NEEDS}", started)
        return
    made = _tried(first, component, config)
    yield made
    for check in others if made.status == "passed" else ():
        yield _tried(check, component, config)


def _tried(check: Check, component: type[Any], config: Any) -> Outcome:
    started = time.perf_counter()
    try:
        check(component, config)
    except NotApplicable as error:
        return _outcome(check, "not applicable", str(error), started)
    except AssertionError as error:
        return _outcome(check, "failed", str(error) or _unexpected(error, component), started)
    except FdmoError as error:  # says itself what to do
        return _outcome(check, "failed", f"{error} {_NEEDS}", started)
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        return _outcome(check, "failed", _unexpected(error, component), started)
    return _outcome(check, "passed", "", started)


def _outcome(check: Check, status: Status, reason: str, started: float) -> Outcome:
    text = (inspect.getdoc(check) or "").partition("\n")[0]
    seconds = time.perf_counter() - started
    return Outcome(check.__name__, text, status, " ".join(reason.split()), seconds)


def _unexpected(error: BaseException, component: type[Any]) -> str:
    """Return the error with the place where it left the component's own file, or its last place."""
    own = getattr(sys.modules.get(component.__module__), "__file__", None)
    frames = traceback.extract_tb(error.__traceback__)
    place = next((one for one in reversed(frames) if one.filename == own), frames[-1])
    return (
        f"{type(error).__name__}: {error} ({Path(place.filename)}, line {place.lineno}). Expected "
        f"no error. Correct the component there."
    )
