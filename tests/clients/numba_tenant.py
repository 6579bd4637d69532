"""A program that uses numba's CUDA arrays, as a neighbour on a shared card.

    numba_tenant.py [--idle] [--open-ipc] [--steps STEPS] MEBIBYTES

allocates that much device memory, fills it with data of its own, prints
`ready FREE TOTAL` (bytes, as numba sees them) and computes, checking every result, until its
standard input ends; with --idle it only holds the memory. Then it checks that its data is
still its own, prints `right: N rounds`, and ends with 0. Anything wrong is said and ends with 1.

--open-ipc: reads a pickled IPC handle from standard input first, and prints the sum of the
array that it opens. --steps: the length of the kernel of fixed work in each round; the default
takes the simulated GPU 1 ms.

Debian's numba comes without a compiler for kernels, so the kernels are those of kernels.ptx,
launched by numba's own driver interface.
"""
import argparse
import ctypes
import os
import pickle
import select
import sys

import numpy as np
from numba import cuda
from numba.cuda.cudadrv.driver import launch_kernel

MIB = 1 << 20
ELEMENTS = 1 << 16  # of the vectors it computes with
WORK_BLOCKS, WORK_THREADS = 1, 32


class Kernels:
    """The kernels of kernels.ptx in the current context."""

    def __init__(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kernels.ptx")
        with open(path, encoding="ascii") as file:
            self.module = cuda.current_context().create_module_ptx(file.read())
        self.saxpy_f32 = self.module.get_function("gpushim_saxpy_f32")
        self.work_steps = self.module.get_function("gpushim_work")

    @staticmethod
    def launch(function, blocks, threads, stream, *arguments):
        launch_kernel(function.handle, blocks, 1, 1, threads, 1, 1, 0,
                      stream.handle if stream else None, arguments)

    @staticmethod
    def address(array):
        return ctypes.c_uint64(array.device_ctypes_pointer.value)

    def saxpy(self, a, x, y, stream=None):
        """y = a * x + y, for device arrays of float32."""
        self.launch(self.saxpy_f32, (x.size + 255) // 256, 256, stream, self.address(x),
                    self.address(y), ctypes.c_float(a), ctypes.c_uint64(x.size))

    def work(self, steps, stream=None):
        """A kernel that takes a time proportional to steps."""
        self.launch(self.work_steps, WORK_BLOCKS, WORK_THREADS, stream,
                    ctypes.c_uint64(steps), ctypes.c_uint64(0))


def fail(sentence):
    print(f"FAILED: numba: {sentence}", flush=True)
    sys.exit(1)


def compute(kernels, random, steps):
    """One round: vectors go in, a kernel computes, the result comes out right."""
    x = random.integers(-1000, 1000, ELEMENTS).astype(np.float32)
    y = random.integers(-1000, 1000, ELEMENTS).astype(np.float32)
    device_x, device_y = cuda.to_device(x), cuda.to_device(y)
    kernels.saxpy(3, device_x, device_y)
    kernels.work(steps)
    if not np.array_equal(device_y.copy_to_host(), 3 * x + y):
        fail("a * x + y came back wrong.")


def input_ended():
    return bool(select.select([sys.stdin], [], [], 0)[0]) and not sys.stdin.buffer.read()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--idle", action="store_true")
    parser.add_argument("--open-ipc", action="store_true")
    parser.add_argument("--steps", type=int, default=1000000)
    parser.add_argument("mebibytes", type=int)
    options = parser.parse_args()

    random = np.random.default_rng(os.getpid())
    kernels = Kernels()
    mine = random.integers(0, 256, options.mebibytes * MIB, dtype=np.uint8)
    held = cuda.to_device(mine)
    memory = cuda.current_context().get_memory_info()
    print(f"ready {memory.free} {memory.total}", flush=True)

    if options.open_ipc:
        with pickle.load(sys.stdin.buffer) as array:
            print(int(array.copy_to_host().sum()), flush=True)
    rounds = 0
    if options.idle:
        sys.stdin.buffer.read()
    else:
        while not input_ended():
            compute(kernels, random, options.steps)
            rounds += 1
    if not np.array_equal(held.copy_to_host(), mine):
        fail("its own data has changed.")
    print(f"right: {rounds} rounds", flush=True)


if __name__ == "__main__":
    main()
