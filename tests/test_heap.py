"""What a run frees is kept for its next update, and returned at its end."""

import os
import resource
import subprocess
import sys

import pytest

from infomax.heap import keep_freed

ROUNDS = """
import ctypes, resource, sys, torch
from infomax import heap

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
LENGTHS = [2**20 * (1 + i) for i in range(16)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def update():  # as one does: activations are held, and then all go
    held = [libc.malloc(length) for length in LENGTHS]
    for piece, length in zip(held, LENGTHS):
        ctypes.memset(piece, 1, length)
    for piece in held:
        libc.free(piece)

if sys.argv[1] == "kept":
    assert heap.keep_freed()
for _ in range(20):  # until the library's own thresholds have moved as far as they do
    update()
before = faults()
for _ in range(20):
    update()
print((faults() - before) // 20)
if sys.argv[1] == "kept":
    heap.give_back()
before = faults()
update()
print(faults() - before)
"""
PAGES = 136 * 2**20 // resource.getpagesize()


def pages(how: str) -> list[int]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    command = [sys.executable, "-c", ROUNDS, how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(not keep_freed(), reason="not glibc's allocator, or somebody has told it how to allocate")
def test_an_update_takes_no_new_pages_and_the_end_returns_them() -> None:
    assert pages("plain")[0] > PAGES // 2
    each, first = pages("kept")
    assert each < PAGES // 100
    assert first > PAGES // 2  # returned, and taken anew


def test_who_has_told_the_allocator_is_heard() -> None:
    command = [sys.executable, "-c", "from infomax.heap import keep_freed; print(keep_freed())"]
    for told in ({"MALLOC_TRIM_THRESHOLD_": "65536"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=65536"}):
        done = subprocess.run(
            command, env={**os.environ, **told}, capture_output=True, text=True, check=True, timeout=120
        )
        assert done.stdout.strip() == "False"


def test_nothing_is_told_where_nothing_was_kept() -> None:
    """A run on a GPU ends by `give_back`, too."""
    said = "from infomax import heap; heap.give_back(); print(heap.keep_freed.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "0"
