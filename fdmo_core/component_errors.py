"""Says in which component of a run an error was raised, and where in the run that was.

An error that a component raises by mistake keeps its type and its traceback; a note is added to it,
which is the last line that a person sees. Errors that a person can resolve pass as they are.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from torch import nn

from fdmo_core.errors import FdmoError
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.registry import Resolved

if TYPE_CHECKING:
    from fdmo_core.config import Run

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")

PLACE, BLAME = "Raised in ", "Raised by "


@contextmanager
def during(where: str) -> Iterator[None]:
    """Note on an error where in a run it was raised, unless that is noted more closely.

    Args:
        where: Such as ``"step 3 of phase2"``.
    """
    try:
        yield
    except FdmoError:
        raise
    except Exception as error:
        if not any(note.startswith((PLACE, BLAME)) for note in _notes(error)):
            error.add_note(f"{PLACE}{where}.")
        raise


@contextmanager
def naming_components(run: "Run") -> Iterator[None]:
    """Note on an error which of a run's components it was raised in, beside where that was."""
    try:
        yield
    except FdmoError:
        raise
    except Exception as error:
        notes = _notes(error)
        named = owner_of(error, run)
        if named and not any(note.startswith(BLAME) for note in notes):
            place = next((note for note in notes if note.startswith(PLACE)), "")
            if place:
                notes.remove(place)
            error.add_note(f"{BLAME}{named}" + place.replace(PLACE, ", in ").rstrip(".") + ".")
        raise


def names_components(
    function: "Callable[Concatenate[Run, ArgumentsT], ResultT]",
) -> "Callable[Concatenate[Run, ArgumentsT], ResultT]":
    """Return a function of a run that does :func:`naming_components`."""

    @wraps(function)
    def named(run: "Run", /, *args: ArgumentsT.args, **kwargs: ArgumentsT.kwargs) -> ResultT:
        with naming_components(run):
            return function(run, *args, **kwargs)

    return named


def owner_of(error: BaseException, run: "Run") -> str:
    """Return the component that an error was raised in; "" if it was in none of the run's.

    It is the innermost one that has a method in the traceback, or a module of which has one; or
    else one whose package has a function there, such as the split of a data set.

    Returns:
        Such as ``"loss 'poly' of fdmo-poly 0.1.0"``.
    """
    sections = (getattr(run, section) for section in KIND_OF_SECTION)
    chosen = [one for one in sections if isinstance(one, Resolved)]
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    subjects = [frame.f_locals.get("self", frame.f_locals.get("cls")) for frame in frames]
    parts = {
        id(part): one
        for subject in subjects
        if isinstance(subject, nn.Module)
        for module in subject.modules()  # the outer ones first
        for one in chosen
        if isinstance(module, one.component)
        for part in module.modules()
    }
    for subject in reversed(subjects):
        for one in chosen:
            if isinstance(subject, one.component) or subject is one.component:
                return _describe(one)
        if id(subject) in parts:
            return _describe(parts[id(subject)])
    for frame in reversed(frames):
        for one in chosen:
            if _is_in_package(frame, one.component):
                return _describe(one)
    return ""


def _is_in_package(frame: FrameType, component: type[Any]) -> bool:
    """Return whether a frame's code is in the package, or the single module, of a component."""
    package = component.__module__.rpartition(".")[0] or component.__module__
    return f"{frame.f_globals.get('__name__')}.".startswith(f"{package}.")


def _describe(one: Resolved[Any]) -> str:
    return f"{one.origin.kind.name} '{one.origin.name}' of {one.origin.origin}"


def _notes(error: BaseException) -> list[str]:
    notes: list[str] = getattr(error, "__notes__", [])
    return notes
