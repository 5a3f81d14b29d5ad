"""Messages to subscribers: signed, sent again until they are taken, and never to a place that is not meant."""

import hashlib
import hmac
import http.server
import ipaddress
import json
import socket
import threading
import time

import pytest

from plugins.datacube.errors import InvalidQueryError
from plugins.jobs import courier
from plugins.jobs.callbacks import Callback, CallbackPolicy
from plugins.jobs.courier import Courier, post, resolve
from plugins.jobs.job import JobRequest, Result, Subscriber
from plugins.jobs.store import JobStore

SECRET = "a secret of the tests, long enough"
LOCAL = CallbackPolicy(hosts=("127.0.0.1", "localhost"), networks=("127.0.0.0/8",), plain_http=True, secret=SECRET)
PUBLIC = CallbackPolicy(hosts=("*.example.org", "hooks.test"), secret=SECRET)


@pytest.fixture
def subscriber():
    """A server that notes what it is sent, and answers with the statuses that it was given (204 when they are out)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.heard.append((self.path, dict(self.headers), body))
            status = server.statuses.pop(0) if server.statuses else 204
            self.send_response(status)
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.heard, server.statuses = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server, path="/hook"):
    return f"http://127.0.0.1:{server.server_port}{path}"


def test_a_message_is_signed(subscriber):
    assert post(LOCAL, Callback(7, "job", "failed", url(subscriber, "/hook?a=b"), '{"x": 1}')) == 204
    path, headers, body = subscriber.heard[0]
    assert (path, body, headers["Isopleth-Event"]) == ("/hook?a=b", b'{"x": 1}', "failed")
    moment, digest = (part.split("=")[1] for part in headers["Isopleth-Signature"].split(","))
    assert abs(int(moment) - time.time()) < 60
    assert digest == hmac.new(SECRET.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()


def test_redirections_are_not_followed(subscriber):
    subscriber.statuses = [307]
    assert post(LOCAL, Callback(1, "job", "failed", url(subscriber), "{}")) == 307
    assert [path for path, _, _ in subscriber.heard] == ["/hook"]


def test_jobs_tell_their_subscribers_until_they_are_heard(subscriber, tmp_path):
    store, now = JobStore(tmp_path / "jobs.sqlite", clock=lambda: now[0]), [1e9]
    who = Subscriber(
        success=url(subscriber, "/done"), in_progress=url(subscriber, "/go"), failed=url(subscriber, "/no"),
        job_url="http://b.example/jobs/{job}", result_url="http://b.example/results/{job}/{name}",
    )  # fmt: skip
    subscriber.statuses = [500]
    job = store.submit(JobRequest(process_id="p", inputs={}, subscriber=who))
    store.claim(1)
    sending = Courier(LOCAL)
    try:
        wait_until(lambda: len(subscriber.heard) == 1, sending, store)
        wait_until(lambda: not sending._sent, sending, store)
        assert store.due_callbacks() == (), "it is tried again later, not at once"
        now[0] += 10
        wait_until(lambda: len(subscriber.heard) == 2, sending, store)
        store.finish(job.id, 1, Result("text/csv", "a b.csv", 3, "ab" * 32, 1))
        sending._process.kill()  # a courier that dies loses nothing
        with pytest.raises((EOFError, OSError)):
            wait_until(lambda: False, sending, store)
        sending.close()
        wait_until(lambda: any(path == "/done" for path, _, _ in subscriber.heard), sending, store)
        wait_until(lambda: not sending._sent, sending, store)
        now[0] += 1e6
        assert store.due_callbacks() == ()
    finally:
        sending.close()
        store.close()
    paths = [path for path, _, _ in subscriber.heard]
    assert set(paths[:2]) == {"/go"}
    result = json.loads(subscriber.heard[-1][2])
    assert result == {"result": {"href": f"http://b.example/results/{job.id}/a%20b.csv", "type": "text/csv"}}
    assert json.loads(subscriber.heard[0][2])["status"] == "running"


def wait_until(condition, sending, store):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        sending.work(store)
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize(
    "uri",
    [
        "http://hooks.test/a", "https://evil.test/", "https://example.org/", "https://notexample.org/",
        "ftp://hooks.test/", "https://hooks.test@evil.test/", "https://user:pw@hooks.test/", "https://hooks.test/#x",
        "https://hooks.test:0/", "https://hooks.test:99999/", "https:///a", "hooks.test", "https://hooks.test/a b",
        "https://hooks.test/\r\nX: y",
        "https://[::1", "https://hooks.tést/", 7, None, "https://hooks.test/" + "a" * 3000,
    ],
)  # fmt: skip
def test_addresses_that_are_not_meant_are_refused(uri):
    with pytest.raises(InvalidQueryError) as caught:
        PUBLIC.check("successUri", uri)
    assert caught.value.parameter == "successUri"


def test_addresses_that_are_meant_are_taken():
    for uri in ("https://a.example.org/x?y=z", "https://HOOKS.test:8443/", "https://hooks.test./"):
        assert PUBLIC.check("successUri", uri) == uri


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::a00:1", "2001:db8::1",
    ],
)  # fmt: skip
def test_networks_that_are_not_public_are_out_of_reach(text, monkeypatch):
    everybody = CallbackPolicy(hosts=("*",), secret=SECRET)
    assert not everybody.may_reach(ipaddress.ip_address(text))
    host = f"[{text}]" if ":" in text else text
    with pytest.raises(InvalidQueryError):
        everybody.check("failedUri", f"https://{host}/")
    # By a name that means a public and this address: nothing is connected to.
    found = [(2, 1, 6, "", (address, 443)) for address in ("8.8.8.8", text)]
    monkeypatch.setattr(courier.socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(courier.socket, "create_connection", lambda *_: pytest.fail("it connected"))
    with pytest.raises(InvalidQueryError):
        post(everybody, Callback(1, "job", "success", "https://rebound.test/", "{}"))


def test_the_address_that_was_checked_is_the_one_that_is_used(monkeypatch):
    answers = [[(2, 1, 6, "", ("8.8.8.8", 443))], [(2, 1, 6, "", ("127.0.0.1", 443))]]
    used = []
    monkeypatch.setattr(courier.socket, "getaddrinfo", lambda *_, **__: answers.pop(0))
    monkeypatch.setattr(courier.socket, "create_connection", lambda place, _: used.append(place) or refuse())
    with pytest.raises(ConnectionRefusedError):
        post(CallbackPolicy(hosts=("*",)), Callback(1, "job", "success", "https://rebound.test/", "{}"))
    assert used == [("8.8.8.8", 443)]
    assert len(answers) == 1


def refuse():
    raise ConnectionRefusedError


def test_a_listed_network_may_be_reached():
    assert resolve(LOCAL, "127.0.0.1", 80) == "127.0.0.1"
    assert socket.AF_INET6  # an IPv6 address is never in an IPv4 network
    assert not LOCAL.may_reach(ipaddress.ip_address("::1"))
