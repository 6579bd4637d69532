"""For demo.sh: whether gpushim's table and the device say the same.

    demo_agrees.py sim|real --dir DIR [--words WORDS] busy|done

busy  while both tenants live: waits until both have computed and the greedy one was refused
      several times; then, process by process, what the ledger charges must be what the
      device holds for it. Keeps what it saw in ./table.json for
done  afterwards: nobody was ever over its quota, in the device's own words; denials are those
      that the program saw (--words, its last line); and what it took has been given back.

On a real device, whose words are NVML's, contexts are held beside what programs asked for, so
that a process may hold more than its charge, but not less.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

PATIENCE_S = 30
DENIALS_ENOUGH = 5
MIB = 1 << 20
CONTEXT_MAX = 2048 * MIB  # of a real device: generous


def fail(sentence):
    print(f"FAILED: {sentence}")
    sys.exit(1)


def ok(sentence):
    print(f"  ok  {sentence}")


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def tool(name):
    return os.path.join(os.environ["BUILD"], "bin", name)


class Table:
    """What gpushim-ctl shows."""

    def __init__(self, directory):
        tree = json.loads(output(tool("gpushim-ctl"), "show", "--json", "--dir", directory))
        self.tenants = {row["tenant"]: row for row in tree["tenants"]}

    def device(self, tenant):
        devices = self.tenants[tenant]["devices"]
        return devices[0] if devices else None

    def process(self, tenant):
        processes = self.tenants[tenant]["processes"]
        return processes[0] if processes else None

    def charged(self, tenant):
        usage = self.process(tenant)["usage"]
        return usage[0]["charged_bytes"] if usage else 0


def simulated():
    """Requested bytes now, and at their height, by pid; and how often the device refused."""
    tree = json.loads(output(tool("simgpu"), "status", "--json", "--all"))
    rows = {}
    for client in tree["clients"]:
        memory = client["devices"][0]["memory"]
        rows[client["pid"]] = (memory["requested"], memory["requested_peak"],
                               client["refusals"])
    return rows


def real():
    rows = {}
    told = output("nvidia-smi", "--query-compute-apps=pid,used_gpu_memory",
                  "--format=csv,noheader,nounits")
    for line in told.splitlines():
        pid, used = line.split(",")
        rows[int(pid)] = (int(used) * MIB, None, None)
    return rows


def settled(table):
    """Both are there, have memory, and the greedy one has been refused often enough."""
    return (all(table.process(tenant) and table.device(tenant)
                for tenant in ("greedy", "video"))
            and table.charged("video") > 0
            and table.process("greedy")["denials"] >= DENIALS_ENOUGH)


def same(kind, charged, held):
    if kind == "sim":
        return charged == held
    return charged <= held <= charged + CONTEXT_MAX


def compare(kind, directory):
    """The first table all of whose processes are as the device says. Both move on while one
    looks, so a look is repeated until the two agree, or patience ends."""
    device = simulated if kind == "sim" else real
    deadline = time.monotonic() + PATIENCE_S
    while True:
        table = Table(directory)
        rows = device()
        if settled(table):
            pairs = [(tenant, table.charged(tenant),
                      rows.get(table.process(tenant)["pid"], (0, 0, 0))[0])
                     for tenant in ("greedy", "video")]
            if all(same(kind, charged, held) for _, charged, held in pairs):
                return table, pairs
        elif time.monotonic() > deadline:
            fail("The tenants did not get to work: "
                 + json.dumps({name: row["processes"]
                               for name, row in table.tenants.items()}))
        if time.monotonic() > deadline:
            fail("; ".join(f"{tenant}: the ledger says {charged}, the device {held} bytes"
                           for tenant, charged, held in pairs))
        time.sleep(0.02)


def busy(kind, directory):
    table, pairs = compare(kind, directory)
    with open("table.json", "w", encoding="ascii") as file:
        json.dump({tenant: {"pid": table.process(tenant)["pid"], "charged": charged,
                            "held": held,
                            "quota": table.device(tenant)["limit_bytes"]}
                   for tenant, charged, held in pairs}, file)


def done(kind, directory, words):
    with open("table.json", encoding="ascii") as file:
        seen = json.load(file)
    for tenant, row in seen.items():
        about = "" if kind == "sim" else " (and its context)"
        ok(f"{tenant}: the ledger said {row['charged']} bytes, the device "
           f"{row['held']}{about}")
    table = Table(directory)
    peak = table.device("greedy")["peak_bytes"]
    quota = seen["greedy"]["quota"]
    if peak > quota:
        fail(f"The greedy tenant's peak of {peak} bytes is above its quota of {quota}.")
    if kind == "sim":
        rows = simulated()
        height = rows[seen["greedy"]["pid"]]
        if height[1] != peak:
            fail(f"At the height the ledger says {peak} bytes, the device {height[1]}.")
        if any(row["pid"] in rows and rows[row["pid"]][2] for row in seen.values()):
            fail("The device was asked for memory that the quota had to refuse.")
        ok(f"greedy: at its height the device held {height[1]} bytes of a quota of {quota}; "
           "no refused request ever reached it")
        if any(row[0] for row in rows.values()):
            fail("Something is still held after both have gone.")
        ok("nothing is held after both have gone")
    refusals = int(re.search(r"(\d+) refusals", words).group(1))
    if refusals < DENIALS_ENOUGH:
        fail(f"The greedy program was refused only {refusals} times.")
    if any(table.tenants[tenant]["processes"] for tenant in seen):
        fail("The ledger still shows a process that has gone.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("sim", "real"))
    parser.add_argument("--dir", required=True)
    parser.add_argument("--words", default="")
    parser.add_argument("when", choices=("busy", "done"))
    options = parser.parse_args()
    if options.when == "busy":
        busy(options.kind, options.dir)
    else:
        done(options.kind, options.dir, options.words)


if __name__ == "__main__":
    main()
