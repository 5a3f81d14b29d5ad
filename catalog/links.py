"""Under which public address does a client find each resource?

Every absolute link of the STAC catalogue, of the OGC API and of the result documents is made here, so that a change of
layout is a change of one module.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

STAC_PATH = "/stac"
"""Where the STAC API is mounted."""


def _segment(identifier: str) -> str:
    """Percent-encode one path segment, so that an identifier can never add a path level or a query."""
    return quote(identifier, safe="")


@dataclass(frozen=True, slots=True)
class FrontUrls:
    """The absolute URLs of the public fronts below one base address.

    Parameters
    ----------
    base : str
        Public address of the server, e.g. ``http://127.0.0.1:8000`` or ``https://host/prefix``. Trailing slashes are
        dropped; no URL made here ends with a slash.

    Raises
    ------
    ValueError
        If ``base`` is not an absolute ``http`` or ``https`` address.
    """

    base: str

    def __post_init__(self) -> None:
        if not self.base.startswith(("http://", "https://")):
            raise ValueError("the public base address must begin with http:// or https://")
        object.__setattr__(self, "base", self.base.rstrip("/"))

    @property
    def ogc(self) -> str:
        """Landing page of the OGC API (EDR and Processes)."""
        return f"{self.base}/ogc"

    @property
    def ogc_api(self) -> str:
        """OpenAPI document of the OGC API."""
        return f"{self.base}/ogc/openapi"

    @property
    def stac(self) -> str:
        """Landing page of the STAC API."""
        return f"{self.base}{STAC_PATH}"

    @property
    def processes(self) -> str:
        """List of processes (OGC API - Processes, ``/processes``)."""
        return f"{self.base}/ogc/processes"

    @property
    def jobs(self) -> str:
        """List of jobs (OGC API - Processes, ``/jobs``)."""
        return f"{self.base}/ogc/jobs"

    def collection(self, identifier: str) -> str:
        """EDR collection document."""
        return f"{self.base}/ogc/collections/{_segment(identifier)}"

    def instances(self, collection: str) -> str:
        """List of the instances of an EDR collection."""
        return f"{FrontUrls.collection(self, collection)}/instances"

    def instance(self, collection: str, identifier: str) -> str:
        """EDR document of an instance: a forecast run, or a state of the data."""
        # A reference time keeps its colons (RFC 3986, section 3.3, allows them in a path).
        return f"{FrontUrls.instances(self, collection)}/{quote(identifier, safe=':')}"

    def versions(self, collection: str) -> str:
        """Version history of an EDR collection."""
        return f"{FrontUrls.collection(self, collection)}/versions"

    def stac_collection(self, identifier: str) -> str:
        """STAC collection document."""
        return f"{self.stac}/collections/{_segment(identifier)}"

    def stac_item(self, collection: str, identifier: str) -> str:
        """STAC item document."""
        return f"{self.stac}/collections/{_segment(collection)}/items/{_segment(identifier)}"

    def zarr(self, identifier: str) -> str:
        """Root of the raw Zarr view of a collection."""
        return f"{self.base}/zarr/{_segment(identifier)}"

    def process(self, identifier: str) -> str:
        """Process description."""
        return f"{self.base}/ogc/processes/{_segment(identifier)}"

    def job(self, identifier: str) -> str:
        """Job status document."""
        return f"{self.base}/ogc/jobs/{_segment(identifier)}"

    def result(self, identifier: str) -> str:
        """Root of the result files of a job."""
        return f"{self.base}/results/{_segment(identifier)}"
