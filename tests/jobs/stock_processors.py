"""Processors as somebody writes them for a stock pygeoapi."""

import os
import time

from pygeoapi.process.base import BaseProcessor, ProcessorExecuteError

METADATA = {
    "version": "0.1.0",
    "title": {"en": "Greets"},
    "description": {"en": "Greets"},
    "keywords": [],
    "links": [],
    "jobControlOptions": ["sync-execute", "async-execute"],
    "inputs": {"name": {"title": "Name", "schema": {"type": "string"}, "minOccurs": 1, "maxOccurs": 1}},
    "outputs": {"greeting": {"title": "Greeting", "schema": {"type": "object"}}},
}


class Greet(BaseProcessor):
    def __init__(self, processor_def):
        super().__init__(processor_def, METADATA | {"id": "greet"})

    def execute(self, data, outputs=None):
        if not data.get("name"):
            raise ProcessorExecuteError("no name", user_msg="the input name is missing")
        time.sleep(data.get("seconds", 0))
        if data["name"] == "binary":
            return "application/octet-stream", b"\x00\xff" * 10
        return "application/json", {"greeting": f"Hello {data['name']}", "pid": os.getpid()}
