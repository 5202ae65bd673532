import os
import subprocess
import sys

from dicom_ai.worker import owners


def test_every_name_is_new() -> None:
    assert owners.new_owner() != owners.new_owner()


def test_a_process_that_lives_is_not_dead() -> None:
    assert owners.dead([owners.new_owner()]) == []


def test_a_process_that_ended_is_dead() -> None:
    program = "from dicom_ai.worker.owners import new_owner; import sys; sys.stdout.write(new_owner())"
    gone = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert owners.dead([gone]) == [gone]


def test_a_process_number_that_is_used_again_does_not_pass_for_the_old_process() -> None:
    machine, pid, started, name = owners.new_owner().split("/")
    older = f"{machine}/{pid}/{int(started) - 1}/{name}"

    assert pid == str(os.getpid())
    assert owners.dead([older]) == [older]


def test_of_another_machine_nothing_is_known() -> None:
    assert owners.dead(["elsewhere+4026531836/1/1/abc"]) == []


def test_a_name_of_another_kind_is_left_alone() -> None:
    assert owners.dead(["", "w1"]) == []
