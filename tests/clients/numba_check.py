"""What numba must see on the simulated GPU, compared with what the device itself says.

Run by numba.sh, which keeps the device. Prints a line for each check; the first that fails
ends it with 1.
"""
import gc
import os
import pickle
import subprocess
import sys
import traceback

import numpy as np
from numba import cuda
from numba.cuda.cudadrv import driver
from numba.cuda.cudadrv.driver import CudaAPIError

import books
from numba_tenant import MIB, Kernels

OUT_OF_MEMORY = 2
GRANULE = 2 * MIB  # a driver may round what it takes from the device up to this
TENANT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "numba_tenant.py")


def me(truth):
    """This process in the device's books."""
    return next(row for row in truth.rows if row.pid == os.getpid())


def used_here():
    memory = cuda.current_context().get_memory_info()
    return memory.total - memory.free


def collect():
    """numba frees arrays later, in batches; now is later."""
    gc.collect()
    context = cuda.current_context()
    context.deallocations.clear()
    context.memory_manager.deallocations.clear()


def the_device_is_found_and_supported():
    assert cuda.detect()
    assert len(cuda.gpus) == 1
    truth = books.read()
    assert cuda.current_context().get_memory_info().total == truth.device.total_bytes


def a_context_takes_memory():
    cuda.current_context()
    row = me(books.read())
    assert row.context > 0
    assert row.requested == 0
    assert used_here() == row.used == row.context + row.code


def memory_info_falls_by_what_is_allocated():
    for size in 1, 1000, MIB, 100 * MIB, 100 * MIB + 1:
        before, was = used_here(), me(books.read())
        array = cuda.device_array(size, dtype=np.uint8)
        after, now = used_here(), me(books.read())
        assert now.requested - was.requested == size
        assert now.plain - was.plain == size
        assert now.used - was.used == after - before
        # A small array may fit into what is taken already.
        assert size - GRANULE < after - before < size + GRANULE
        del array
        collect()
        assert used_here() == before
        assert me(books.read()).requested == was.requested


def arrays_come_back_unchanged():
    random = np.random.default_rng(1)
    for host in (random.integers(0, 256, 64 * MIB, dtype=np.uint8),
                 random.random((123, 457)),
                 np.asfortranarray(random.random((31, 17, 5))).astype(np.complex64),
                 np.arange(7, dtype=np.int16), np.array(42.0)):
        assert np.array_equal(cuda.to_device(host).copy_to_host(), host)
    whole = random.random(100000)
    on_device = cuda.to_device(whole)
    assert np.array_equal(on_device[1000:2000].copy_to_host(), whole[1000:2000])
    twin = cuda.device_array_like(on_device)
    twin.copy_to_device(on_device)
    assert np.array_equal(twin.copy_to_host(), whole)
    driver.device_memset(twin, 0, twin.nbytes // 2)
    expected = np.where(np.arange(whole.size) < whole.size // 2, 0, whole)
    assert np.array_equal(twin.copy_to_host(), expected)


def kernels_compute():
    kernels = Kernels()
    x, y = np.arange(100001, dtype=np.float32), np.ones(100001, dtype=np.float32)
    device_x, device_y = cuda.to_device(x), cuda.to_device(y)
    was = me(books.read())
    kernels.saxpy(2, device_x, device_y)
    assert np.array_equal(device_y.copy_to_host(), 2 * x + y)
    now = me(books.read())
    assert now.kernels == was.kernels + 1
    assert now.gpu_ns > was.gpu_ns


def streams_and_events_keep_order():
    kernels = Kernels()
    streams = [cuda.stream() for _ in range(4)]
    host = cuda.pinned_array(1 << 20, dtype=np.float32)
    results = [cuda.pinned_array(1 << 20, dtype=np.float32) for _ in streams]
    host[:] = np.arange(host.size)
    x = cuda.to_device(host)
    for number, (stream, result) in enumerate(zip(streams, results)):
        y = cuda.to_device(host, stream=stream)
        kernels.saxpy(number, x, y, stream)
        y.copy_to_host(result, stream=stream)
    for number, (stream, result) in enumerate(zip(streams, results)):
        stream.synchronize()
        assert np.array_equal(result, (number + 1) * host)

    begin, end, behind = cuda.event(), cuda.event(), cuda.event()
    was = me(books.read())
    begin.record(streams[0])
    for _ in range(10):
        kernels.work(1000000, streams[0])
    end.record(streams[0])
    end.wait(streams[1])
    behind.record(streams[1])
    behind.synchronize()
    assert end.query()
    kernel_ns = me(books.read()).kernel_ns - was.kernel_ns
    # Events lie around the kernels, with no one else on the card.
    assert kernel_ns <= cuda.event_elapsed_time(begin, end) * 1.001e6 < kernel_ns * 1.5
    assert cuda.event_elapsed_time(end, behind) >= 0


def callbacks_come_in_order():
    stream, heard = cuda.stream(), []
    for number in range(5):
        stream.add_callback(lambda *call: heard.append(call[2]), number)
    stream.synchronize()
    assert heard == list(range(5))


def mapped_and_managed_memory_is_shared_with_kernels():
    kernels = Kernels()
    x = cuda.to_device(np.full(5000, 2, dtype=np.float32))
    for make in cuda.mapped_array, cuda.managed_array:
        y = make(5000, dtype=np.float32)
        y[:] = np.arange(5000)
        kernels.saxpy(10, x, y)
        cuda.synchronize()
        assert np.array_equal(np.array(y), np.arange(5000, dtype=np.float32) + 20)


def too_much_is_refused_and_nothing_breaks():
    was, total = used_here(), cuda.current_context().get_memory_info().total
    for size in total, total + 1, 1 << 50:
        try:
            cuda.device_array(size, dtype=np.uint8)
        except CudaAPIError as error:
            assert error.code == OUT_OF_MEMORY
        else:
            raise AssertionError("an array larger than the device was granted")
    assert me(books.read()).refusals >= 3
    assert used_here() == was
    assert np.array_equal(cuda.to_device(np.arange(10)).copy_to_host(), np.arange(10))


def start_tenant(*arguments):
    tenant = subprocess.Popen([sys.executable, TENANT, *arguments], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    return tenant, tenant.stdout.readline().split()


def end_tenant(tenant):
    output, _ = tenant.communicate()
    assert tenant.returncode == 0, output
    return output.decode()


def settle(*tenants):
    """Waits until the device knows that they have gone."""
    pids = [tenant.pid for tenant in tenants]
    truth = books.until(lambda truth: all(row.gone for row in truth.rows if row.pid in pids))
    assert all(row.gone for row in truth.rows if row.pid in pids)


def two_processes_share_one_pool_of_memory():
    alone = used_here()
    first, _ = start_tenant("--idle", "90")
    second, ready = start_tenant("--idle", "60")
    truth = books.read()
    rows = {row.pid: row for row in truth.rows}
    assert rows[first.pid].plain == 90 * MIB
    assert rows[second.pid].plain == 60 * MIB
    # Each sees what all of them use.
    both = rows[first.pid].used + rows[second.pid].used
    assert used_here() == truth.device.used_bytes == alone + both
    assert ready == [b"ready", b"%d" % (truth.device.total_bytes - truth.device.used_bytes),
                     b"%d" % truth.device.total_bytes]
    end_tenant(first)
    end_tenant(second)
    settle(first, second)
    assert used_here() == alone


def two_processes_share_one_device_s_time():
    tenants = [start_tenant("10")[0] for _ in range(2)]
    was = books.read()

    def kernels(truth, pid):
        return next(row.kernels for row in truth.rows if row.pid == pid)

    def both_advance(now):
        return all(kernels(now, tenant.pid) >= kernels(was, tenant.pid) + 40
                   for tenant in tenants)
    now = books.until(both_advance)
    assert both_advance(now)
    assert not list(now.broken_rules())
    assert now.device.switches > was.device.switches
    for tenant in tenants:
        assert "right" in end_tenant(tenant)
    settle(*tenants)


def an_array_can_be_opened_by_another_process():
    host = np.arange(100000, dtype=np.int64)
    array = cuda.to_device(host)
    was = used_here()
    tenant, _ = start_tenant("--idle", "--open-ipc", "1")
    pickle.dump(array.get_ipc_handle(), tenant.stdin)
    assert str(host.sum()) in end_tenant(tenant)
    settle(tenant)
    assert used_here() == was
    assert np.array_equal(array.copy_to_host(), host)


CHECKS = (the_device_is_found_and_supported, a_context_takes_memory,
          memory_info_falls_by_what_is_allocated, arrays_come_back_unchanged,
          kernels_compute, streams_and_events_keep_order, callbacks_come_in_order,
          mapped_and_managed_memory_is_shared_with_kernels,
          too_much_is_refused_and_nothing_breaks, two_processes_share_one_pool_of_memory,
          two_processes_share_one_device_s_time, an_array_can_be_opened_by_another_process)


def main():
    for check in CHECKS:
        sentence = check.__name__.replace("_s_", "'s ").replace("_", " ")
        try:
            check()
            collect()
            broken = list(books.read().broken_rules())
            assert not broken, broken
        except Exception:
            traceback.print_exc(file=sys.stdout)
            print(f"FAILED: {sentence}.")
            print(books.read().text)
            return 1
        print(f"ok: {sentence}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
