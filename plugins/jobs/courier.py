"""How do messages reach subscribers without the web server ever opening an address that a client named?

A process of its own sends them. It is given messages over a socket of which the runner holds the other end, and ends
when that ends. For each message it looks the host up once, refuses it if any of its addresses may not be reached, and
connects to the address that was checked: a name that changes between check and use changes nothing. Redirections are
not followed, proxies of the environment not used, and what is answered beside the status is not kept.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlsplit

from plugins.datacube.errors import InvalidQueryError
from plugins.jobs.callbacks import TRIES, Callback, CallbackPolicy, pause, signature
from plugins.jobs.store import JobStore

SECONDS: Final = 10.0
"""For connecting, and for each part of an answer."""
ALTOGETHER_SECONDS: Final = 30.0
WORKERS: Final = 4
_MESSAGE: Final = 1 << 17
"""Bytes that hold any message between runner and courier."""
_GONE: Final = 410


class Courier:
    """The runner's end. Used by the runner's thread alone; the process is started with the first message."""

    def __init__(self, policy: CallbackPolicy) -> None:
        self._policy = policy
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._sent: dict[int, Callback] = {}

    def work(self, store: JobStore) -> None:
        """Book what has been answered, and hand over what is due.

        Raises
        ------
        EOFError, OSError
            If the process was lost; after `close` another one is started.
        """
        for number, status in self._answers():
            callback = self._sent.pop(number, None)
            if callback is None:
                continue
            taken = status is not None and 200 <= status < 300
            if taken or status == _GONE or callback.tries + 1 >= TRIES:
                store.callback_done(number)
            else:
                store.callback_again(number, pause(callback.tries + 1))
        busy = {callback.job_id for callback in self._sent.values()}
        for callback in store.due_callbacks():
            # One at a time for each job: what is sent first should arrive first.
            if callback.job_id not in busy:
                busy.add(callback.job_id)
                self._hand_over(callback)

    def close(self) -> None:
        """End the process; what it had not answered is sent again by the next one."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._socket = self._process = None
        self._sent.clear()

    def _answers(self) -> list[tuple[int, int | None]]:
        found: list[tuple[int, int | None]] = []
        while self._socket is not None:
            try:
                told = self._socket.recv(_MESSAGE)
            except BlockingIOError:
                break
            if not told:
                raise EOFError("it has ended")
            document = json.loads(told)
            found.append((document["number"], document["status"]))
        return found

    def _hand_over(self, callback: Callback) -> None:
        if self._socket is None:
            self._start()
        assert self._socket is not None  # noqa: S101 - just made
        with suppress(BlockingIOError):  # it has enough to do; it is handed over at the next turn
            self._socket.send(json.dumps(asdict(callback)).encode())
            self._sent[callback.number] = callback

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            code = (
                "import sys, json; a = json.loads(sys.argv[1]); sys.path[:] = a['path']; "
                "from plugins.jobs.courier import serve; serve(a['socket'])"
            )
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                [sys.executable, "-c", code, json.dumps({"path": sys.path, "socket": theirs.fileno()})],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        # Not an argument: those are shown to every user of the machine.
        ours.send(json.dumps(asdict(self._policy)).encode())
        ours.setblocking(False)
        self._socket = ours


def serve(descriptor: int) -> None:
    """Send what comes over a socket until its other end is closed. The main function of the courier's process."""
    control = socket.socket(fileno=descriptor)
    given: dict[str, Any] = json.loads(control.recv(_MESSAGE))
    given |= {name: tuple(given[name]) for name in ("hosts", "networks")}
    policy = CallbackPolicy(**given)
    lock = threading.Lock()

    def send(callback: Callback) -> None:
        try:
            status = post(policy, callback)
        except (InvalidQueryError, OSError, http.client.HTTPException, ValueError) as error:
            sys.stderr.write(f"jobs: callback of {callback.job_id} ({callback.kind}) failed: {type(error).__name__}\n")
            status = None
        with lock, suppress(OSError):
            control.send(json.dumps({"number": callback.number, "status": status}).encode())

    with ThreadPoolExecutor(WORKERS) as pool:
        while told := control.recv(_MESSAGE):
            pool.submit(send, Callback(**json.loads(told)))
        os._exit(0)  # the runner has gone: what is being sent is sent again by the next one


def post(policy: CallbackPolicy, callback: Callback) -> int:
    """Send a message, and return the status of the answer.

    Raises
    ------
    InvalidQueryError
        If the address may not be reached.
    OSError, http.client.HTTPException
        If it cannot be.
    """
    parts = urlsplit(policy.check("uri", callback.uri))
    host = (parts.hostname or "").rstrip(".")
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    body, moment = callback.body.encode(), int(time.time())
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": "Isopleth",
        "Connection": "close",
        "Isopleth-Event": callback.kind,
        "Isopleth-Delivery": f"{callback.job_id}-{callback.number}",
        "Isopleth-Signature": signature(policy.secret, moment, body),
    }
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    channel = socket.create_connection((resolve(policy, host, port), port), SECONDS)
    # A server that sends one byte now and then must not keep a worker for ever.
    watchdog = threading.Timer(ALTOGETHER_SECONDS, _shut, (channel,))
    watchdog.daemon = True
    watchdog.start()
    try:
        if secure:
            channel = ssl.create_default_context().wrap_socket(channel, server_hostname=host)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = channel
        connection.request("POST", target, body, headers)
        return connection.getresponse().status
    finally:
        watchdog.cancel()
        channel.close()


def resolve(policy: CallbackPolicy, host: str, port: int) -> str:
    """Return the address to connect to: the first of a host, if all of them may be reached.

    Raises
    ------
    InvalidQueryError
        If one may not.
    OSError
        If the name is not known.
    """
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not policy.may_reach(ipaddress.ip_address(address.partition("%")[0])):
            raise InvalidQueryError("uri", "the host has an address that is not public")
    return found[0]


def _shut(channel: socket.socket) -> None:
    with suppress(OSError):
        channel.shutdown(socket.SHUT_RDWR)
