"""For demo.sh: which part of the device's time each tenant has, in the device's own words.

    demo_shares.py sim|real [--dir DIR] SECONDS NAME=PID[:LIMIT]...

waits until all have used the device, watches for SECONDS and prints a row for each: with
--dir, what gpushim-ctl shows for the tenant meanwhile, and what the device gave it. Where
limits, in percent, are told, it ends with 1 if one had more than two points above its limit,
or less than six tenths of it, or if gpushim-ctl shows clearly less than it had.

The books are those of the simulated device. A real one keeps none by process: there it is
the time that those kernels take alone which examples/work has finished, from the lines about
its progress in ./NAME.progress.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

PATIENCE_S = 60
KERNEL_NS = 200000  # of examples/work, as demo.sh starts it
ABOVE_MAX = 2  # points; a burst of 20 ms in 3 s is two thirds of one
BELOW_MIN = 0.6  # of the limit
UNSEEN_MAX = 3  # points; the two are not asked at the same instant


def fail(sentence):
    print(f"FAILED: {sentence}")
    sys.exit(1)


def tree(*command):
    told = subprocess.run([os.path.join(os.environ["BUILD"], "bin", command[0]),
                           *command[1:]], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(told.stdout)


class Tenant:
    def __init__(self, text):
        self.name, self.pid, self.limit = re.fullmatch(
            r"([^=]+)=(\d+)(?::(\d+))?", text).groups()


def simulated(tenants):
    books = tree("simgpu", "status", "--json", "--all")
    used = {row["pid"]: row["devices"][0]["gpu_ns"] for row in books["clients"]}
    return [(books["now_ns"], used.get(int(tenant.pid), 0)) for tenant in tenants]


def real(tenants):
    looks = []
    for tenant in tenants:
        with open(f"{tenant.name}.progress", encoding="utf-8") as file:
            lines = re.findall(r"^([\d.]+) s: (\d+) launches finished$", file.read(), re.M)
        seconds, launches = lines[-1] if lines else ("0", "0")
        looks.append((float(seconds) * 1e9, int(launches) * KERNEL_NS))
    return looks


def shown(directory, tenants):
    """What gpushim-ctl shows, with the time at which it did."""
    rows = {row["tenant"]: row["devices"]
            for row in tree("gpushim-ctl", "show", "--json", "--dir", directory)["tenants"]}
    return [(time.monotonic_ns(), rows[tenant.name][0]["time"]["used_ns"]
             if rows[tenant.name] else 0) for tenant in tenants]


def parts(begin, end):
    """In percent."""
    return [100 * (used - was) / (now - then)
            for (then, was), (now, used) in zip(begin, end)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("sim", "real"))
    parser.add_argument("--dir")
    parser.add_argument("seconds", type=float)
    parser.add_argument("tenants", nargs="+", type=Tenant)
    options = parser.parse_args()
    tenants, look = options.tenants, simulated if options.kind == "sim" else real

    deadline = time.monotonic() + PATIENCE_S
    while not all(used for _, used in look(tenants)):
        if time.monotonic() > deadline:
            fail("The programs did not come to use the device.")
        time.sleep(0.05)
    begin = look(tenants)
    begin_shown = options.dir and shown(options.dir, tenants)
    time.sleep(options.seconds)
    had = parts(begin, look(tenants))
    said = parts(begin_shown, shown(options.dir, tenants)) if options.dir else [None, None]

    words = "the device" if options.kind == "sim" else "its kernels"
    print(f"           {'limit':>9}  {'gpushim-ctl':>11}  {words:>11}")
    for tenant, share, told in zip(tenants, had, said):
        limit = f"{tenant.limit} %" if tenant.limit else "-"
        seen = f"{told:.1f} %" if options.dir else "-"
        print(f"  {tenant.name:9}{limit:>9}  {seen:>11}  {share:>9.1f} %")
    for tenant, share, told in zip(tenants, had, said):
        if not tenant.limit:
            continue
        if share > int(tenant.limit) + ABOVE_MAX:
            fail(f"{tenant.name} had {share:.1f} % of the device, and its limit is "
                 f"{tenant.limit} %.")
        if options.dir and told < share - UNSEEN_MAX:
            fail(f"gpushim-ctl shows {told:.1f} % for {tenant.name}, the device {share:.1f} %.")
        if share < BELOW_MIN * int(tenant.limit):
            fail(f"{tenant.name} had only {share:.1f} % of the device, of {tenant.limit} %.")


if __name__ == "__main__":
    main()
