"""Tests compile quickly; one that asks for optimized programs gets those that users have."""

import os
import subprocess
import sys

import pytest

from tests.compiling import QUICKLY, bits_of_sums
from tests.repository import ROOT


def bits_without_flags() -> str:
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    say = "from tests.compiling import bits_of_sums; print(bits_of_sums())"
    done = subprocess.run(
        [sys.executable, "-c", say], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_by_itself_a_test_compiles_quickly_and_one_that_asks_for_it_as_users_do(
    request: pytest.FixtureRequest,
) -> None:
    assert QUICKLY in os.environ["XLA_FLAGS"]
    quickly = bits_of_sums()
    request.getfixturevalue("optimized")
    assert bits_of_sums() == bits_without_flags() != quickly
