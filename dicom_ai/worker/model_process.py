"""The process that runs the models for a worker, which can end and replace it at any moment.

Native code that hangs cannot be stopped from within its process, nor can a crash be caught there. So the worker itself
runs no model: it hands each task to a process of its own, waits for the answer as long as the model may take, and
ends the process when that time is over. The models stay loaded in the process from one task to the next.

    worker thread                             process
    start ------------ spawn ---------------> opens the models
    load("cord") ----- pipe ----------------> loads it  -> the device it runs on
    do(task, limit) -- pipe ----------------> analyses, keeps the analysis on disk -> a sentence, or an error
    close, or time over, or the pipe broken:  SIGKILL; the next call starts another

The process ends by itself when its worker is gone: a thread waits for that, and a timer of the C library, which needs
no Python, ends it also where native code holds the interpreter.
"""

import atexit
import faulthandler
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from dicom_ai.analysis import task as analysis_task
from dicom_ai.analysis.task import Task
from dicom_ai.errors import DicomAiError, WorkerLost
from dicom_ai.inference.predictor import Models, Way
from dicom_ai.worker.unexpected import Description, Unexpected, describe

LONGEST_LOAD_S = 300.0
"""How long a process may take to start and to load one model."""

_ORPHAN_S = 60.0
"""So long after its time is over a process ends itself, should nobody be left to end it."""

_DEATH_S = 10.0
"""How long a killed process may take to go; a driver may hold it for ever."""

_SPAWN = multiprocessing.get_context("spawn")  # a fork of a process with threads or a loaded runtime may hang


@dataclass(frozen=True, slots=True)
class _Load:
    model: str


@dataclass(frozen=True, slots=True)
class _Do:
    task: Task
    limit_s: float


@dataclass(frozen=True, slots=True)
class _Answer:
    """text: what came of it. error: what was raised on purpose. unexpected: what is said of any other error."""

    text: str = ""
    error: DicomAiError | None = None
    unexpected: Description | None = None


class ModelProcess:
    """A process that runs models; started when it is needed. One thread at a time may ask it.

    open_models: called in the process, so it must be importable there. ways: how a model may be run when memory is
    short.
    """

    def __init__(self, open_models: Callable[[], Models], *, ways: Sequence[Way]) -> None:
        self._open_models = open_models
        self._ways = tuple(ways)
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._closed = False
        self._guard = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The number of the process; None where none runs."""
        return self._process.pid if self._process is not None else None

    def load(self, model: str) -> str:
        """Load a model and return the device it runs on. Raises ModelError, DeviceFull or WorkerLost."""
        return self._ask(_Load(model), LONGEST_LOAD_S, f"loading {model}")

    def do(self, task: Task, *, limit_s: float) -> str:
        """Make an analysis with a loaded model; return why it was made otherwise than usual, or "".

        Raises what analysis.task.do raises, WorkerLost when the process ended or took longer than limit_s, and
        Unexpected for everything else.
        """
        return self._ask(_Do(task, limit_s), limit_s, f"running {task.model}")

    def close(self) -> None:
        """End the process, whatever it does; it is not started again. May be called from any thread."""
        with self._guard:
            self._closed = True
            atexit.unregister(self.close)
            if self._process is not None:  # who waits for its answer sees the pipe end, and tidies up
                self._process.kill()
                self._process.join(_DEATH_S)

    def _ask(self, request: _Load | _Do, limit_s: float, what: str) -> str:
        pipe = self._running()
        try:
            pipe.send(request)
            if not pipe.poll(limit_s):
                self._replace(patience_s=0)
                raise WorkerLost(f"{what} took longer than {limit_s:g} s: its process was ended")
            answer: _Answer = pipe.recv()
        except (EOFError, OSError):
            raise WorkerLost(f"{what} ended its process ({self._replace(patience_s=1)})") from None
        if answer.error is not None:
            raise answer.error
        if answer.unexpected is not None:
            raise Unexpected(answer.unexpected)
        return answer.text

    def _running(self) -> Connection:
        """Return the pipe to a process that lives."""
        with self._guard:
            if self._closed:
                raise WorkerLost("the worker is being stopped")
            if self._process is not None and not self._process.is_alive():
                self._end(patience_s=0)
            if self._process is None or self._pipe is None:
                self._pipe, other = _SPAWN.Pipe()
                arguments = (other, self._open_models, self._ways)
                self._process = _SPAWN.Process(target=_serve, args=arguments, name="models", daemon=True)
                self._process.start()
                atexit.register(self.close)  # Python would ask it to end, which it ignores, and wait for ever
                other.close()
            return self._pipe

    def _replace(self, *, patience_s: float) -> str:
        """End the process, so that the next call starts another; return how it ended.

        patience_s: one that has crashed may still be on its way out, and tells by what.
        """
        with self._guard:
            return self._end(patience_s=patience_s)

    def _end(self, *, patience_s: float) -> str:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        atexit.unregister(self.close)
        if pipe is not None:
            pipe.close()
        if process is None:
            return "stopped"
        process.join(patience_s)
        if process.exitcode is None:
            process.kill()
            process.join(_DEATH_S)
        code = process.exitcode
        if code is not None:
            process.close()
        return _ended_by(code)


def _ended_by(code: int | None) -> str:
    if code is None:
        return "it does not even end when killed"
    if code < 0:
        known = -code in {item.value for item in signal.Signals}
        return f"signal {signal.Signals(-code).name if known else -code}"
    return f"exit status {code}"


def _serve(pipe: Connection, open_models: Callable[[], Models], ways: Sequence[Way]) -> None:
    """What the process does: answer one request after another until its worker is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the worker, which says when to end
    faulthandler.enable()
    threading.Thread(target=_end_with_worker, daemon=True).start()
    models = open_models()
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(request, models, ways))


def _answer(request: _Load | _Do, models: Models, ways: Sequence[Way]) -> _Answer:
    limit_s = LONGEST_LOAD_S if isinstance(request, _Load) else request.limit_s
    faulthandler.dump_traceback_later(limit_s + _ORPHAN_S, exit=True)
    try:
        if isinstance(request, _Load):
            return _Answer(models.load(request.model).reference.device)
        return _Answer(analysis_task.do(request.task, models, ways=ways))
    except DicomAiError as error:
        return _Answer(error=error.with_traceback(None))
    except Exception as error:  # noqa: BLE001 - part of the worker: it becomes a job state there
        return _Answer(unexpected=describe(error))
    finally:
        faulthandler.cancel_dump_traceback_later()


def _end_with_worker() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
