"""A program that takes all of the device's time that it can get, by numba.

    numba_busy.py [--steps STEPS] [--rounds ROUNDS]

launches rounds of kernels without a pause, the next while the last one still runs, and checks
what each computed: ROUNDS of them, or until its standard input ends. It prints `ready` when
the first is done, and `right: N rounds, N kernels` at its end, with which it ends with 0.
Anything wrong is said and ends with 1.

--steps is the length of the kernels; the default takes the simulated GPU 100 us.
"""
import argparse
import itertools

import numpy as np
from numba import cuda

from numba_tenant import Kernels, fail, input_ended

KERNELS = 50  # of a round
ELEMENTS = 1024
AHEAD = 2  # rounds in flight


class Lane:
    """One round after another: kernels of fixed work, behind them y += a * x, with a of
    changing sign, and y comes back."""

    def __init__(self, kernels, steps, stream):
        self.kernels, self.steps, self.stream = kernels, steps, stream
        self.x = np.arange(ELEMENTS, dtype=np.float32)
        self.device_x = cuda.to_device(self.x)
        self.device_y = cuda.to_device(np.zeros(ELEMENTS, dtype=np.float32))
        self.y = cuda.pinned_array(ELEMENTS, dtype=np.float32)
        self.done = cuda.event(timing=False)
        self.rounds = 0

    def launch(self):
        for _ in range(KERNELS):
            self.kernels.work(self.steps, self.stream)
        self.kernels.saxpy(-3 if self.rounds % 2 else 3, self.device_x, self.device_y,
                           self.stream)
        self.device_y.copy_to_host(self.y, stream=self.stream)
        self.done.record(self.stream)
        self.rounds += 1

    def check(self):
        """Waits for the last round. A lane that launched none has nothing to be wrong."""
        if not self.rounds:
            return
        self.done.synchronize()
        if not np.array_equal(self.y, (self.rounds % 2) * 3 * self.x):
            fail(f"a * x + y came back wrong from round {self.rounds}.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100000)
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()

    kernels, stream = Kernels(), cuda.stream()
    lanes = [Lane(kernels, options.steps, stream) for _ in range(AHEAD)]
    for lane in itertools.cycle(lanes):
        rounds = sum(lane.rounds for lane in lanes)
        if rounds == 1:
            lanes[0].done.synchronize()
            print("ready", flush=True)
        if rounds == options.rounds or options.rounds is None and input_ended():
            break
        lane.check()
        lane.launch()
    for lane in lanes:
        lane.check()
    rounds = sum(lane.rounds for lane in lanes)
    print(f"right: {rounds} rounds, {rounds * (KERNELS + 1)} kernels", flush=True)


if __name__ == "__main__":
    main()
