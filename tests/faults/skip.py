"""What a scenario needs and a machine may lack: it is skipped then, and the table says why."""

import shutil

import pytest

from tests.peers import need_program


class Skipped(Exception):
    """This machine cannot play the scenario; the message says what is missing."""


def need(program: str, package: str) -> str:
    """Return the path of a program. Raises Skipped (or fails under CI=true) where it is not installed."""
    try:
        return shutil.which(program) or need_program(program, package=package)
    except pytest.skip.Exception as reason:
        raise Skipped(str(reason)) from None
