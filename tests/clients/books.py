"""Device truth for the client scripts: what the simulated device itself says of memory and
time, read with the tool `simgpu`.

    books.py [--settled | --until | --print] EXPRESSION...

takes the books of the first device and ends with 1, a sentence and the books if a rule that
always holds is broken, or if one of the Python expressions is not true. In an expression

    device              the device:  device.busy_ns, device.used_bytes ...
    client("ffmpeg")    the newest process of that name: kernels, gpu_ns, copies ...
    clients("ffmpeg")   all of them, oldest first; clients() is everyone
    now_ns              when the books were taken

have the members that `simgpu status --json` prints; a process also has those of its memory on
the first device. --settled waits until every process has gone, so that the books are final;
--until waits until all expressions are true; --print writes their values and judges nothing.
"""
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

TOOL = os.path.join(os.environ["BUILD"], "bin", "simgpu")
PATIENCE_S = 20


class Books:
    def __init__(self, text):
        tree = json.loads(text)
        self.text = text
        self.now_ns = tree["now_ns"]
        self.forgotten = tree["forgotten"]
        self.device = SimpleNamespace(**tree["devices"][0])
        self.rows = []
        for row in tree["clients"]:
            first = row.pop("devices")[0]
            self.rows.append(SimpleNamespace(**row, **first.pop("memory"), **first))

    def clients(self, name=None):
        return [row for row in self.rows if name in (None, row.name)]

    def client(self, name):
        found = self.clients(name)
        if not found:
            raise LookupError(f"the device knows no process called {name}")
        return found[-1]

    def broken_rules(self):
        """Sentences about what may never happen, with one device and one state."""
        device, rows = self.device, self.rows
        told = device.idle_ns + device.switch_ns + device.busy_ns
        elapsed = self.now_ns - device.since_ns
        if told != elapsed:
            yield f"idle, switching and busy time are {told} ns of {elapsed} ns"
        if not self.forgotten and sum(row.gpu_ns for row in rows) != device.busy_ns:
            yield "the GPU times of all processes are not the device's busy time"
        for name in "used", "requested":
            total = sum(getattr(row, name) for row in rows)
            if total != getattr(device, name + "_bytes"):
                yield f"the processes' {name} bytes are {total}, not the device's"
        for row in rows:
            if row.gone and (row.used or row.requested or row.host):
                yield f"{row.name} ({row.pid}) has gone and still holds memory"
            if row.bad_records:
                yield f"{row.name} ({row.pid}) submitted what the device could not read"

    def value(self, expression):  # which comes from our own scripts only
        return eval(expression, {"device": self.device, "client": self.client,
                                 "clients": self.clients, "now_ns": self.now_ns})

    def judge(self, expressions):
        """Sentences about rules that are broken and expressions that are not true."""
        wrong = list(self.broken_rules())
        for expression in expressions:
            try:
                if not self.value(expression):
                    wrong.append(f"not true: {expression}")
            except (LookupError, AttributeError) as error:
                wrong.append(f"{expression}: {error}")
        return wrong


def read():
    told = subprocess.run([TOOL, "status", "--json", "--all"], stdout=subprocess.PIPE,
                          check=True, text=True)
    return Books(told.stdout)


def until(enough):
    """The books as soon as enough(books), or those that there are when patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        books = read()
        if enough(books) or time.monotonic() > deadline:
            return books
        time.sleep(0.01)


def all_gone(books):
    return all(row.gone for row in books.rows)


def main(arguments):
    option, expressions = None, arguments
    if arguments[:1] in (["--settled"], ["--until"], ["--print"]):
        option, expressions = arguments[0], arguments[1:]
    if option == "--settled":
        books = until(all_gone)
        expressions = ["all(row.gone for row in clients())", *expressions]
    elif option == "--until":
        books = until(lambda books: not books.judge(expressions))
    else:
        books = read()
    if option == "--print":
        for expression in expressions:
            print(books.value(expression))
        return 0
    wrong = books.judge(expressions)
    for sentence in wrong:
        print(f"FAILED: device truth: {sentence}.")
    if wrong:
        print(books.text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
