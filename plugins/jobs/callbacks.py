"""What is a subscriber told, and which addresses may be told at all?

Messages are rows of the job store, written in the transaction that made them true, and sent by a process of its own
(`plugins.jobs.courier`), at least once. What is sent is that of OGC 18-062r2, clause 7.11.2: a results document for
success, by reference, and the status of the job for the rest.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from plugins.datacube.errors import InvalidQueryError
from plugins.jobs.job import Job, State

MAX_URI: Final = 2048
TRIES: Final = 8
"""How often a message is sent before it is given up: for about six hours."""
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Callback:
    """One message that has still to be sent."""

    number: int
    job_id: str
    kind: str
    """``success``, ``inProgress`` or ``failed``."""
    uri: str
    body: str
    """JSON."""
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackPolicy:
    """Where messages may go. Without hosts they go nowhere."""

    hosts: tuple[str, ...] = ()
    """Names of hosts; ``*.example.org`` is every host below it, ``*`` every host."""
    networks: tuple[str, ...] = ()
    """Networks that are not public and may still be reached, such as ``10.0.3.0/24``."""
    plain_http: bool = False
    """Whether ``http`` may be used beside ``https``."""
    secret: str = ""
    """Key of the signatures."""

    @property
    def enabled(self) -> bool:
        """Whether callbacks are offered."""
        return bool(self.hosts)

    def check(self, member: str, uri: object) -> str:
        """Return an address that a message may be sent to, as far as its text tells; no name is looked up.

        Raises
        ------
        InvalidQueryError
            If it may not; `member` is named as the parameter at fault.
        """
        schemes = "an http or https address" if self.plain_http else "an https address"
        valid = f"{schemes} of one of the hosts {', '.join(self.hosts)}"
        if not isinstance(uri, str) or len(uri) > MAX_URI or not uri.isascii() or not uri.isprintable() or " " in uri:
            raise InvalidQueryError(member, f"{member} is not an address", valid)
        try:
            parts = urlsplit(uri)
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError as error:
            raise InvalidQueryError(member, f"{member} is not an address", valid) from error
        if parts.scheme not in (("http", "https") if self.plain_http else ("https",)) or not host or port == 0:
            raise InvalidQueryError(member, f"{member} is not {schemes}", valid)
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise InvalidQueryError(member, f"{member} may hold no user, password or fragment", valid)
        if not any(_is_host(pattern, host) for pattern in self.hosts):
            raise InvalidQueryError(member, f"this server sends nothing to {host[:128]!r}", valid)
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return uri
        if not self.may_reach(literal):
            raise InvalidQueryError(member, f"{member} is an address of a network that is not public", valid)
        return uri

    def may_reach(self, address: Address) -> bool:
        """Return whether a message may go to an address: a public one, or one of the operator's networks.

        Examples
        --------
        >>> policy = CallbackPolicy(hosts=("*",), networks=("10.0.3.0/24",))
        >>> [policy.may_reach(ipaddress.ip_address(text)) for text in ("8.8.8.8", "10.0.3.7", "10.0.4.7", "::1")]
        [True, True, False, False]
        """
        inner = _embedded(address)
        listed = [ipaddress.ip_network(text) for text in self.networks]
        if any(inner.version == network.version and inner in network for network in listed):
            return True
        return inner.is_global and not inner.is_multicast and not inner.is_reserved and not inner.is_unspecified


def _is_host(pattern: str, host: str) -> bool:
    pattern, host = pattern.lower(), host.lower()
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address only wraps, else the address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def message(job: Job) -> Callback | None:
    """Return what the subscriber of a job has to be told of the state that it has reached; None where nothing."""
    subscriber = job.subscriber
    if subscriber is None:
        return None
    kind, uri = {
        State.RUNNING: ("inProgress", subscriber.in_progress),
        State.SUCCESSFUL: ("success", subscriber.success),
        State.FAILED: ("failed", subscriber.failed),
        State.DISMISSED: ("failed", subscriber.failed),
    }.get(job.state, ("", None))
    if uri is None:
        return None
    status_url = subscriber.job_url.replace("{job}", job.id)
    document: dict[str, Any]
    if kind == "success" and job.result is not None:
        outputs: Sequence[str] = job.options.get("outputs") or ["result"]
        if job.options.get("document"):
            href, media_type = f"{status_url}/results", "application/json"
        else:
            name = quote(job.result.file_name)
            href = subscriber.result_url.replace("{job}", job.id).replace("{name}", name)
            media_type = job.result.media_type
        document = {output: {"href": href, "type": media_type} for output in outputs}
    else:
        document = {
            "jobID": job.id,
            "processID": job.process_id,
            "type": "process",
            "status": job.state.value,
            "message": job.message,
            "progress": job.progress,
            "created": job.created,
            "updated": job.updated,
            **({"started": job.started} if job.started else {}),
            **({"finished": job.finished} if job.finished else {}),
            "links": [{"rel": "self", "type": "application/json", "title": "status of the job", "href": status_url}],
        }
    return Callback(0, job.id, kind, uri, json.dumps(document))


def signature(secret: str, moment: int, body: bytes) -> str:
    """Return the value of ``Isopleth-Signature``: the moment, and the HMAC-SHA256 of it, a dot, and the body."""
    digest = hmac.new(secret.encode(), str(moment).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def pause(tries: int) -> float:
    """Return the seconds to wait after so many tries that failed.

    Examples
    --------
    >>> [pause(n) for n in (1, 2, 3, 7, 8)]
    [10.0, 40.0, 160.0, 10800.0, 10800.0]
    """
    return float(min(10 * 4 ** (tries - 1), 10_800))
