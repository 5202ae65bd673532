"""PostgreSQL and Redis of the tests' own, on loopback, in a folder that is removed."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis

from tests.peers import free_port, need_program

START_S = 60


class Postgres:
    """A server with one empty database, that can be stopped as by a crash and started again."""

    def __init__(self) -> None:
        initdb, self._server = (need_program(name, package="postgresql") for name in ("initdb", "postgres"))
        self._folder = Path(tempfile.mkdtemp(prefix="dicom-ai-postgres-"))
        self._as_owner: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            self._as_owner = [need_program("runuser", package="util-linux"), "-u", "postgres", "--"]
            shutil.chown(self._folder, "postgres")
        self._port = free_port()
        self._process: subprocess.Popen | None = None
        self.url = f"postgresql+psycopg://tests@127.0.0.1:{self._port}/node"
        data = str(self._folder / "data")
        options = ["-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", data]
        subprocess.run([*self._as_owner, initdb, *options], check=True, capture_output=True, cwd=self._folder)
        self.start()
        administrator = {"host": "127.0.0.1", "port": self._port, "user": "tests", "dbname": "postgres"}
        with psycopg.connect(**administrator, autocommit=True) as admin:
            admin.execute("CREATE DATABASE node")

    def start(self) -> None:
        """Start it and wait until it answers."""
        place = ["-D", str(self._folder / "data"), "-k", str(self._folder)]
        self._process = subprocess.Popen(
            [*self._as_owner, self._server, *place, "-p", str(self._port), "-h", "127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        _wait(lambda: _answers(self._port))

    def crash(self) -> None:
        """Stop it at once; it recovers from its log when it is started again."""
        self._stop(signal.SIGQUIT)

    def remove(self) -> None:
        """Stop it and remove everything."""
        self._stop(signal.SIGINT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _stop(self, how: signal.Signals) -> None:
        """Tell the server itself: runuser would not pass the signal on."""
        pid_file = self._folder / "data" / "postmaster.pid"
        if pid_file.exists():
            os.kill(int(pid_file.read_text().split()[0]), how)
        if self._process is not None:
            self._process.wait(30)
            self._process = None


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server with one empty database; yield its SQLAlchemy URL."""
    server = Postgres()
    try:
        yield server.url
    finally:
        server.remove()


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Run a server that keeps nothing; yield its URL."""
    program = need_program("redis-server", package="redis-server")
    port = port or free_port()
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=port) as client:
            _wait(lambda: _pings(client))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        psycopg.connect(host="127.0.0.1", port=port, user="tests", dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _wait(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError("the server did not start")
        time.sleep(0.1)
