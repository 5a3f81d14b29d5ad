"""What the jobs of the fault tests do: note their process, work a little, write a result that names its attempt."""

import os
import time
from pathlib import Path

from plugins.jobs.job import Outcome


def run(process_id, inputs, context, workdir, report):
    (Path(context) / "pids" / str(os.getpid())).touch()
    for step in range(5):
        report(step / 5, None)
        time.sleep(inputs["seconds"] / 5)
    path = workdir / "out.txt"
    path.write_text(f"{inputs['n']} {workdir.name}")
    return Outcome(path, "text/plain", "out.txt")
