"""How does a job get a process of its own in milliseconds, and how does no job outlive the server?

The zygote is one small process beside the server. It imports what the jobs need, opens nothing, and forks once for
every job (a fresh interpreter with these imports takes seconds). It reads its orders from a socket of which only the
server holds the other end: when the server ends, even by ``kill -9``, the socket ends, and the zygote kills every
job's process group before it goes. Should the zygote itself be killed, the kernel kills its forks
(``PR_SET_PDEATHSIG``).

This is the pattern of `multiprocessing`'s *forkserver*, which is not used because its forks inherit the pipe by which
it watches the server (so that jobs and forkserver would keep each other alive), and because each of its forks would
import the server's main module again.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plugins.jobs import child

_PR_SET_PDEATHSIG: Final = 1
_MESSAGE: Final = 4096
"""Bytes that hold any message between server and zygote."""
SINGLE_THREADED: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BLOSC_NTHREADS"), "1"
)
"""A job has one slot: its libraries must not start a thread for each core."""
UNTHREADED: Final = {"ICECHUNK_NO_LOGS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""On import Icechunk starts the threads of its runtime, unless it is not to log, and pyarrow (which pandas imports
where it is installed) one for its allocator. A fork has none of those threads, and would wait for them for ever."""


@dataclass(frozen=True, slots=True)
class Started:
    """A job's process exists."""

    token: int
    pid: int


@dataclass(frozen=True, slots=True)
class Exited:
    """A job's process, and everything in its process group, has gone."""

    token: int
    status: int
    """Exit code, or minus the number of the signal that ended it."""


class Zygote:
    """The server's end.

    Parameters
    ----------
    preload : sequence of str
        Dotted names of modules to import before the first fork. A module that cannot be imported is left out (the
        job that needs it will say so), and one that starts threads too (a fork would wait for them for ever).
    """

    def __init__(self, preload: Sequence[str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            code = (
                "import sys, json; a = json.loads(sys.argv[1]); sys.path[:] = a['path']; "
                "from plugins.jobs.zygote import serve; serve(a['socket'], a['preload'])"
            )
            arguments = {"path": sys.path, "socket": theirs.fileno(), "preload": list(preload)}
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                [sys.executable, "-c", code, json.dumps(arguments)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **SINGLE_THREADED, **UNTHREADED},
                start_new_session=True,
            )
        self._socket = ours
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when `events` has something."""
        return self._socket.fileno()

    def fork(self, token: int) -> socket.socket:
        """Order a job's process, and return the socket to it. `Started` and `Exited` will carry the token.

        Raises
        ------
        OSError
            If the zygote has gone.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                socket.send_fds(self._socket, [json.dumps({"fork": token}).encode()], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def signal(self, token: int, number: int) -> None:
        """Send a signal to the process group of a job; nothing happens if it has ended. OSError as `fork`."""
        self._socket.send(json.dumps({"signal": number, "token": token}).encode())

    def events(self) -> list[Started | Exited]:
        """Return what has happened since the last call, without waiting.

        Raises
        ------
        EOFError
            If the zygote has gone, and every job's process with it.
        """
        found: list[Started | Exited] = []
        while True:
            try:
                message = self._socket.recv(_MESSAGE)
            except BlockingIOError:
                return found
            except OSError as error:
                raise EOFError from error
            if not message:
                if found:
                    return found
                raise EOFError
            told = json.loads(message)
            if "pid" in told:
                found.append(Started(told["token"], told["pid"]))
            else:
                found.append(Exited(told["token"], told["status"]))

    def close(self) -> None:
        """End the zygote, and with it every job's process; returns when it has gone."""
        self._socket.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(slots=True)
class _Forks:
    """The jobs' processes, in the zygote."""

    pids: dict[int, int] = field(default_factory=dict)
    """Process id by token."""

    def reap(self) -> list[tuple[int, int]]:
        """Return (token, status) of the processes that have ended, once nothing is left of their groups."""
        ended = []
        for token, pid in list(self.pids.items()):
            state = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if state is None:
                continue
            # The dead leader still holds the number of its group: no stranger can be hit.
            _kill_group(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            del self.pids[token]
            ended.append((token, os.waitstatus_to_exitcode(status)))
        return ended


def serve(descriptor: int, preload: Sequence[str]) -> None:
    """Fork on demand until the server has gone. The main function of the zygote's process."""
    control = socket.socket(fileno=descriptor)
    control.setblocking(False)
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    stopping: list[int] = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Sent when the server's thread that started us ends; its socket ends at the same time, this is the second rope.
    _die_with_parent(signal.SIGTERM)
    _preload(preload)
    gc.collect()
    gc.freeze()
    forks = _Forks()
    try:
        while not stopping and _step(control, wake_read, forks):
            pass
    finally:
        for pid in forks.pids.values():
            _kill_group(pid, signal.SIGKILL)


def _preload(names: Sequence[str]) -> None:
    """Import modules, but none that starts a thread.

    A fork has only the thread that forked: a library whose worker threads are gone waits for them for ever. Those that
    are known are told not to (`UNTHREADED`). A module cannot be un-imported, so this process starts again without it.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 -- the job that needs the module will fail with the reason
            sys.stderr.write(f"jobs: cannot import {name} in advance: {error}\n")
        if sum(1 for _ in Path("/proc/self/task").iterdir()) > 1:
            sys.stderr.write(f"jobs: {name} starts threads when it is imported, so each job imports it by itself\n")
            arguments = json.loads(sys.argv[1]) | {"preload": [other for other in names if other != name]}
            os.execv(sys.executable, [*sys.orig_argv[:-1], json.dumps(arguments)])  # noqa: S606 -- ourselves


def _step(control: socket.socket, wake_read: int, forks: _Forks) -> bool:
    """Handle what has come in; False when the server has gone."""
    select.select([control.fileno(), wake_read], [], [])
    with suppress(BlockingIOError):
        os.read(wake_read, _MESSAGE)
    for token, status in forks.reap():
        if not _tell(control, {"token": token, "status": status}):
            return False
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE, 1)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not message:
            return False
        order = json.loads(message)
        if "fork" in order:
            pid = _fork(descriptors[0], [control.fileno(), wake_read])
            os.close(descriptors[0])
            forks.pids[order["fork"]] = pid
            if not _tell(control, {"token": order["fork"], "pid": pid}):
                return False
        elif order["token"] in forks.pids:
            _kill_group(forks.pids[order["token"]], order["signal"])


def _fork(channel: int, unwanted: Sequence[int]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid != 0:
        return pid
    status = 70
    try:
        # Order matters: from here on the death of the zygote is ours, and a parent lost before this line is noticed.
        _die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(status)
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in unwanted:
            os.close(descriptor)
        os.nice(5)  # the server's own answers come first
        faulthandler.enable()
        child.run(socket.socket(fileno=channel))
        status = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _kill_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        # It has no group of its own yet: the fork is younger than its first steps. Or it is dead and not yet reaped.
        os.kill(pid, number)


def _tell(control: socket.socket, message: dict[str, Any]) -> bool:
    control.setblocking(True)
    try:
        control.send(json.dumps(message).encode())
    except OSError:
        return False
    finally:
        control.setblocking(False)
    return True


def _die_with_parent(number: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, number) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
