"""What glibc is told of memory, and that a step's memory is not asked for again."""

import os
import platform
import subprocess
import sys

import pytest

from gptlab.engines.xla_memory import chosen_by_user

# A piece of 200 MiB from a thread, twice: how many pages the second one had to be given.
PROGRAM = """
import resource, threading
from ctypes import CDLL, c_size_t, c_void_p, memset
from gptlab.engines.xla_memory import keep_freed_memory
print(keep_freed_memory())
libc = CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = c_void_p, [c_size_t], [c_void_p]
faults = []
def use():
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        piece = libc.malloc(200 << 20)
        memset(piece, 1, 200 << 20)
        libc.free(piece)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=use)
thread.start()
thread.join()
print(faults[1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is told")
@pytest.mark.parametrize("user", [{}, {"MALLOC_ARENA_MAX": "8"}], ids=["told", "left to the user"])
def test_what_was_freed_is_used_again(user):
    plain = {name: value for name, value in os.environ.items() if not chosen_by_user([name])}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**plain, **user}, capture_output=True, text=True, check=True
    )
    was_told, pages = ran.stdout.split()
    # 51,200 pages of 4 KiB, of which some may come by twos and more.
    assert (was_told, int(pages) < 1000) == (str(not user), not user)


def test_what_the_environment_says_stays():
    assert chosen_by_user({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}) and chosen_by_user(
        {"MALLOC_TOP_PAD_": "1"}
    )
    assert not chosen_by_user({"PATH": "/bin"})
