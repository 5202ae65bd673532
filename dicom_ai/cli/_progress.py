"""Progress of long work on the terminal: a bar where a person looks, lines where a log is kept. Always on stderr."""

from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class Progress:
    """Shows named pieces of work and how far each is; a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
        )
        self._bars = Bars(*columns, console=self._console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._announced: set[str] = set()

    def show(self, what: str, share: float) -> None:
        """Say that a piece of work is done up to a share, 0..1."""
        if self._live:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=1.0)
            self._bars.update(self._tasks[what], completed=share)
        elif what not in self._announced:
            self._announced.add(what)
            click.echo(f"{what} ...", err=True)

    def __enter__(self) -> "Progress":
        if self._live:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bars.stop()
