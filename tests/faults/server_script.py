"""A small server: a job store and a runner, no web. ``python server_script.py FOLDER`` runs until it is killed."""

import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from plugins.jobs.runner import Runner  # noqa: E402
from plugins.jobs.store import JobStore  # noqa: E402

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    runner = Runner(JobStore(folder / "jobs.sqlite"), folder / "results", "fault_entries:run", str(folder), slots=4)
    runner.start()
    print("started", flush=True)
    while True:
        time.sleep(60)
