"""Is pygeoapi embedded once, without touching the process around it, and does it follow the library?"""

from __future__ import annotations

import copy
import logging

from pygeoapi.config import validate_config

from server.ogc.collections import collections
from server.ogc.host import EDR_PROVIDER, PLACEHOLDER, PygeoapiHost, relocated


def test_the_logging_of_the_process_is_left_alone():
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    PygeoapiHost("Title", "Description")
    assert (list(root.handlers), root.level) == before


def test_the_resources_follow_the_library_and_the_api_stays(site):
    api = site.service.host.api
    site.get(collections)
    resources = api.config["resources"]
    assert set(resources) == {"region", "globe"}
    assert resources["region"]["providers"][0]["name"] == EDR_PROVIDER
    site.get(collections)
    assert api.config["resources"] is resources
    assert site.service.host.api is api


def test_the_configuration_is_one_that_pygeoapi_accepts(site):
    site.get(collections)
    config = copy.deepcopy(site.service.host.api.config)
    config["server"].pop("manager", None)
    config["server"]["bind"] = {"host": "127.0.0.1", "port": 5000}
    assert validate_config(config)


def test_processes_are_resources_of_pygeoapi():
    process = {"processor": {"name": "HelloWorld"}}
    host = PygeoapiHost("Title", "Description", processes={"hello": process})
    assert "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core" in host.conformance()


def test_only_addresses_at_the_beginning_are_replaced():
    value = {"a": [f"{PLACEHOLDER}/x", f"see {PLACEHOLDER}"], "b": 1}
    assert relocated(value, "http://h/ogc") == {"a": ["http://h/ogc/x", f"see {PLACEHOLDER}"], "b": 1}
