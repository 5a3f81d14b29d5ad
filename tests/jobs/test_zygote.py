"""Does the process that jobs are forked from have no thread that a fork would miss?"""

from __future__ import annotations

import os
import subprocess
import sys

from plugins.jobs.zygote import SINGLE_THREADED, UNTHREADED
from plugins.processes.registry import PRELOAD

COUNT = "import os; [__import__(name) for name in {names!r}]; print(len(os.listdir('/proc/self/task')))"


def threads_after_import(environment: dict[str, str]) -> int:
    code = COUNT.format(names=list(PRELOAD))
    inherited = {name: value for name, value in os.environ.items() if name not in UNTHREADED}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        env={**inherited, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    return int(done.stdout)


def test_the_preloaded_modules_start_no_threads() -> None:
    assert threads_after_import({**SINGLE_THREADED, **UNTHREADED}) == 1


def test_the_environment_is_what_keeps_them_from_it() -> None:
    assert threads_after_import(SINGLE_THREADED) > 1
