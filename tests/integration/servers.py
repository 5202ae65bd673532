"""PostgreSQL and Redis of the tests' own, on loopback, in a folder that is removed."""

import os
import shutil
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


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server with one empty database; yield its SQLAlchemy URL."""
    initdb, server = need_program("initdb", package="postgresql"), need_program("postgres", package="postgresql")
    folder = Path(tempfile.mkdtemp(prefix="dicom-ai-postgres-"))
    as_owner: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_owner = [need_program("runuser", package="util-linux"), "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    port = free_port()
    options = ["-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", str(folder / "data")]
    subprocess.run([*as_owner, initdb, *options], check=True, capture_output=True, cwd=folder)
    process = subprocess.Popen(
        [*as_owner, server, "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        _wait(lambda: _answers(port))
        with psycopg.connect(host="127.0.0.1", port=port, user="tests", dbname="postgres", autocommit=True) as admin:
            admin.execute("CREATE DATABASE node")
        yield f"postgresql+psycopg://tests@127.0.0.1:{port}/node"
    finally:
        _stop_postgres(folder, process)
        shutil.rmtree(folder, ignore_errors=True)


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


def _stop_postgres(folder: Path, process: subprocess.Popen) -> None:
    """Ask the server itself to stop: runuser would not pass the signal on."""
    pid_file = folder / "data" / "postmaster.pid"
    if pid_file.exists():
        os.kill(int(pid_file.read_text().split()[0]), 2)  # SIGINT: fast shutdown
    process.wait(30)


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
