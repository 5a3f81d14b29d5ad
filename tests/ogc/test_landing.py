"""Does a client find everything from the landing page, and is what the server declares true?"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from edr_pydantic.capabilities import ConformanceModel, LandingPageModel

from catalog.links import FrontUrls
from server.ogc.conformance import conformance
from server.ogc.landing import landing, landing_document
from server.ogc.openapi import openapi


def test_the_landing_page_is_that_of_edr(site):
    response = site.get(landing)
    page = LandingPageModel.model_validate_json(response.content())
    relations = {link.rel for link in page.links}
    assert {"self", "service-desc", "conformance", "data"} <= relations
    assert "http://www.opengis.net/def/rel/ogc/1.0/processes" in relations


def test_no_link_leads_to_what_is_not_served(site):
    links = site.document(landing)["links"]
    assert not [link for link in links if "TileMatrixSets" in link["href"] or "jsonld" in link["href"]]
    assert all(link["href"].startswith("http://127.0.0.1:8000") for link in links)


def test_the_links_have_the_address_of_the_request(site):
    page = landing_document(site.service, FrontUrls("https://weather.example/prefix"))
    assert page["links"]
    assert all(link["href"].startswith("https://weather.example/prefix") for link in page["links"])


def test_the_openapi_link_has_the_type_that_the_compliance_suite_sends_as_accept(site):
    first, second = [link for link in site.document(landing)["links"] if link["rel"] == "service-desc"]
    # The suite takes the first one.
    assert first["type"] == "application/vnd.oai.openapi+json;version=3.0"
    assert first["href"] == "http://127.0.0.1:8000/ogc/openapi"
    assert second["type"] == "application/vnd.oai.openapi+json;version=3.1"
    form = parse_qs(urlsplit(second["href"]).query)
    assert form == {"f": ["oas31"]}
    for link, query in ((first, ""), (second, "f=oas31")):
        assert site.get(openapi, query=query, accept=link["type"]).headers["Content-Type"] == link["type"]


def test_the_declared_classes(site):
    classes = ConformanceModel.model_validate_json(site.get(conformance).content()).conformsTo
    assert len(set(classes)) == len(classes)
    assert {
        "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
        "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/oas30",
        "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
        "http://www.opengis.net/spec/ogcapi-edr-1/1.0/conf/core",
        "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/collections",
        "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/oas30",
        "https://www.opengis.net/spec/ogcapi-edr-1/1.2/conf/covjson",
        "https://www.opengis.net/spec/ogcapi-edr-1/1.2/conf/edr-geojson",
        "https://www.opengis.net/spec/ogcapi-edr-1/1.2/conf/oas31",
    } <= set(classes)
    assert not [name for name in classes if "callback" in name]
    assert [name for name in classes if "edr-1" in name and name.endswith("/conf/html")]


def test_the_fronts_add_their_classes(site_of, stores):
    site = site_of([], extra_conformance=("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/dismiss",))
    assert not [link for link in site.document(landing)["links"] if link["rel"].endswith("/job-list")]
    classes = site.document(conformance)["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/dismiss" in classes


def test_a_server_with_a_job_list_links_to_it_once(site_of):
    site = site_of([], extra_conformance=("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/job-list",))
    found = [link["href"] for link in site.document(landing)["links"] if link["rel"].endswith("/job-list")]
    assert found == ["http://127.0.0.1:8000/ogc/jobs"]
