"""A program that takes all the memory it is given, is refused, and goes on living.

    numba_greedy.py MEBIBYTES

allocates numba arrays of that size, each filled with a value of its own, until one is
refused, prints `ready HELD_BYTES`, and then computes until its standard input ends; in each
round it asks for another array, is to be refused again, and checks a result. At its end it
checks every array, prints `right: N rounds, N refusals, N bytes held` and ends with 0.
Anything wrong is said and ends with 1.
"""
import sys

import numpy as np
from numba import cuda
from numba.cuda.cudadrv.driver import CudaAPIError

from numba_tenant import MIB, Kernels, compute, fail, input_ended

OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY
ARRAYS_MAX = 100000


def take(size, value):
    """An array of that many bytes, or None if it was refused for want of memory."""
    try:
        return cuda.to_device(np.full(size, value, dtype=np.uint8))
    except CudaAPIError as error:
        if error.code != OUT_OF_MEMORY:
            fail(f"it was refused with error {error.code}.")
        return None


def main():
    size = int(sys.argv[1]) * MIB
    kernels = Kernels()
    random = np.random.default_rng(1)
    compute(kernels, random, 1000)  # what its vectors need is taken and given back once
    held = []
    while (array := take(size, len(held) % 251)) is not None:
        held.append(array)
        if len(held) == ARRAYS_MAX:
            fail("nothing was ever refused.")
    refusals = 1
    # Room for the vectors it computes with.
    held.pop()
    print(f"ready {len(held) * size}", flush=True)
    rounds = 0
    while not input_ended():
        compute(kernels, random, 100000)
        if take(2 * size, 0) is not None:
            fail("it was given memory that it was refused before.")
        refusals += 1
        rounds += 1
    for index, array in enumerate(held):
        if not (array.copy_to_host() == index % 251).all():
            fail(f"array {index} has changed.")
    print(f"right: {rounds} rounds, {refusals} refusals, {len(held) * size} bytes held",
          flush=True)


if __name__ == "__main__":
    main()
