"""Progress bars on stderr: rate, time left and the current loss."""

from itertools import islice
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.table import Column
from rich.text import Text

from fdmo_core.journal import Progress

MAX_TERMS = 2  # losses beside a bar, in a terminal of 80 columns


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


class ProgressBars:
    """One bar for each phase of a run.

    Args:
        quiet: Show no bars.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._bars = Bars(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=13)),
            BarColumn(bar_width=16),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=9)),
            _Rate(table_column=Column(no_wrap=True, min_width=7)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True, min_width=5)),
            TextColumn("{task.fields[terms]}"),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "ProgressBars":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def show(self, progress: Progress) -> None:
        """Move the phase's bar; the first call makes it."""
        terms = islice(progress.terms.items(), MAX_TERMS)
        if progress.phase not in self._tasks:
            self._tasks[progress.phase] = self._bars.add_task(progress.phase, terms="")
        self._bars.update(
            self._tasks[progress.phase],
            total=progress.total,
            completed=progress.done,
            terms=", ".join(f"{name} {value:.3g}" for name, value in terms),
        )

    def say(self, text: str) -> None:
        """Print a sentence above the bars."""
        self._bars.console.print(text, highlight=False, markup=False)
