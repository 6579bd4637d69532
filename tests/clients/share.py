"""How much of the device's time a program takes, in the device's own books.

    share.py run [--tenant DIR/NAME] OUT COMMAND...
    share.py judge EXPRESSION...

run    runs COMMAND, and writes to OUT, as JSON:
           gpu_ns     the device's time that the process used
           kernels    how many it ran
           busy_ns    from the first of that time that was seen to the last
           share      the part of busy_ns in which it used the device
           worst      the highest part of any second within; of all, if that was less
           ledger_ns  the time that gpushim-ctl shows for its tenant, if there is one
       and ends as COMMAND did
judge  prints what was found, and ends with 1 and sentences if one of the Python expressions
       is not true; in them the figures of bare.json, say, are bare.gpu_ns and so on

Knows the books of the simulated device (books.py). Refuses to know limits, and judges nothing
by what the library says of itself.
"""
import glob
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import books

LOOK_S = 0.05
SECOND_NS = 1000000000


def watch(child):
    """What the device says of the process while it lives and at its end: (now_ns, row)."""
    looks = []
    while True:
        ended = child.poll() is not None
        truth = books.read()
        row = next((row for row in truth.rows if row.pid == child.pid), None)
        if row is not None:
            looks.append((truth.now_ns, row))
        if ended and (row is None or row.gone):
            return looks
        time.sleep(LOOK_S)


def part(begin, end):
    return (end[1].gpu_ns - begin[1].gpu_ns) / (end[0] - begin[0])


def worst(looks):
    """Of all pieces between two looks that are a second long, or just longer."""
    parts = [part(looks[0], looks[-1])]
    for at, begin in enumerate(looks):
        end = next((end for end in looks[at:] if end[0] - begin[0] >= SECOND_NS), None)
        if end:
            parts.append(part(begin, end))
    return max(parts)


def figures(looks):
    rises = [at for at in range(1, len(looks))
             if looks[at][1].gpu_ns > looks[at - 1][1].gpu_ns]
    if not rises:
        sys.exit("FAILED: nobody saw the program use the device.")
    # From the last look before the time used first rose to the first after it rose last.
    busy = looks[rises[0] - 1:rises[-1] + 1]
    return {"gpu_ns": looks[-1][1].gpu_ns, "kernels": looks[-1][1].kernels,
            "busy_ns": busy[-1][0] - busy[0][0], "share": part(busy[0], busy[-1]),
            "worst": worst(busy)}


def ledger_ns(tenant):
    """What gpushim-ctl shows of the tenant's GPU time, after its processes have gone."""
    told = subprocess.run([os.path.join(os.environ["BUILD"], "bin", "gpushim-ctl"), "show",
                           "--json", "--dir", *os.path.split(tenant)],
                          stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(told.stdout)["tenants"][0]["devices"][0]["time"]["used_ns"]


def run(arguments):
    tenant = None
    if arguments[0] == "--tenant":
        tenant, arguments = arguments[1], arguments[2:]
    child = subprocess.Popen(arguments[1:])
    looks = watch(child)
    if child.returncode == 0:
        found = figures(looks)
        if tenant:
            found["ledger_ns"] = ledger_ns(tenant)
        with open(arguments[0], "w", encoding="ascii") as file:
            json.dump(found, file)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def judge(expressions):
    known = {}
    for name in glob.glob("*.json"):
        with open(name, encoding="ascii") as file:
            known[os.path.splitext(name)[0]] = SimpleNamespace(**json.load(file))
    for name, row in known.items():
        print(f"{name}: {100 * row.share:.1f} % of the device for {row.busy_ns / 1e9:.1f} s, "
              f"at most {100 * row.worst:.1f} % of a second; {row.kernels} kernels, "
              f"{row.gpu_ns} ns"
              + (f", {row.ledger_ns} ns says the ledger" if "ledger_ns" in vars(row) else ""))
    wrong = [expression for expression in expressions if not eval(expression, {}, known)]
    for expression in wrong:
        print(f"FAILED: not true: {expression}")
    return 1 if wrong else 0


def main(arguments):
    what = {"run": run, "judge": judge}[arguments[0]]
    return what(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
