"""Entry functions for jobs in tests, one per way in which a job can end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from plugins.datacube.errors import InvalidQueryError, TooLargeError
from plugins.jobs.job import Outcome


def run(process_id, inputs, context, workdir, report):
    return globals()[process_id](inputs, context, workdir, report)


def write(inputs, context, workdir, report):
    """Write a small result: at once, or after a file of the test has appeared."""
    if "mark" in inputs:
        mark(inputs, str(os.getpid()))
    wait_for(inputs)
    path = workdir / "out.bin"
    path.write_bytes(inputs["text"].encode() + str(context).encode())
    return Outcome(path, "text/plain", inputs.get("name", "out.txt"))


def progress(inputs, context, workdir, report):
    report(0.25, "a quarter")
    wait_for(inputs)
    return write({"text": "x"}, context, workdir, report)


def refuse(inputs, context, workdir, report):
    raise InvalidQueryError("coords", "coords: no such place", "a place")


def too_large(inputs, context, workdir, report):
    raise TooLargeError("too much", estimate={"chunks": 9}, limits={"chunks": 1})


def broken(inputs, context, workdir, report):
    raise KeyError("/secret/path/of/the/server")


def nothing(inputs, context, workdir, report):
    return Outcome(workdir / "absent", "text/plain", "absent")


def outside(inputs, context, workdir, report):
    return Outcome(workdir.parent.parent / inputs["file"], "text/plain", "stolen")


def vanish(inputs, context, workdir, report):
    mark(inputs)
    os._exit(3)


def segfault(inputs, context, workdir, report):
    mark(inputs)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(10)


def crash_once(inputs, context, workdir, report):
    if mark(inputs) == 1:
        os._exit(3)
    return write({"text": "second"}, context, workdir, report)


def allocate(inputs, context, workdir, report):
    block = np.ones(inputs["bytes"], np.uint8)
    return write({"text": str(int(block.sum()))}, context, workdir, report)


def stubborn(inputs, context, workdir, report):
    """Ignore SIGTERM, start a process of its own, and say who they are."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    mark(inputs, f"{os.getpid()} {other.pid}")
    time.sleep(600)


def sleep(inputs, context, workdir, report):
    mark(inputs, str(os.getpid()))
    time.sleep(600)


def wait_for(inputs):
    while "after" in inputs and not Path(inputs["after"]).exists():
        time.sleep(0.02)


def mark(inputs, text="once"):
    """Append a line to the file named by the inputs, and return how many lines it has."""
    with Path(inputs["mark"]).open("a+") as file:
        file.write(text + "\n")
        file.flush()
        file.seek(0)
        return len(file.readlines())
