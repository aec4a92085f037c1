"""Whether the process that holds a lease still lives."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from alertbot.app.process_id import Machine, is_gone, name_of_this_process

HERE = Machine.this_one()


@pytest.fixture
def name_of_a_dead_process() -> str:
    program = "from alertbot.app.process_id import name_of_this_process; print(name_of_this_process())"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return ended.stdout.strip()


def test_a_process_that_runs_is_not_gone_and_one_that_ended_is(name_of_a_dead_process):
    assert not is_gone(name_of_this_process())
    assert is_gone(name_of_a_dead_process)


@pytest.mark.parametrize("part", ["host", "boot", "namespace"])
def test_nothing_is_known_of_another_machine_though_it_shares_what_else_it_may(name_of_a_dead_process, part):
    elsewhere = replace(HERE, **{part: "another"})
    assert not is_gone(name_of_a_dead_process, machine=elsewhere)


def test_a_number_that_was_given_out_again_is_not_the_process_that_had_it(name_of_a_dead_process):
    parts = name_of_a_dead_process.split(":")
    parts[3] = str(os.getpid())
    assert is_gone(":".join(parts))


def test_nothing_is_known_where_the_system_tells_nothing(tmp_path, name_of_a_dead_process):
    blind = Machine.this_one(proc=tmp_path)
    assert blind == Machine(HERE.host, "", "")
    host, *_, number, begun, nonce = name_of_a_dead_process.split(":")
    assert not is_gone(f"{host}:::{number}:{begun}:{nonce}", machine=blind)


@pytest.mark.parametrize("name", ["", "me", "process 1", "a:b:c:d:e:f", "::::::"])
def test_nothing_is_known_of_what_has_no_such_name(name):
    assert not is_gone(name)
