"""Run pygeoapi's own application, Flask or Starlette, with a given configuration, and answer requests from a list.

Run as a program: ``python stock_pygeoapi.py {flask|starlette} FOLDER < requests.json > answers.json``. FOLDER gets the
configuration and the OpenAPI document as files, as an operator would write them: pygeoapi reads both when its
application is imported, once in a process. Nothing of `server` is imported, which is checked at the end.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import warnings
from pathlib import Path


def main(kind: str, folder: Path) -> None:
    warnings.simplefilter("ignore")
    work = json.load(sys.stdin)
    config, openapi = folder / "config.yml", folder / "openapi.yml"
    # JSON is YAML.
    config.write_text(json.dumps(work["config"]))
    os.environ["PYGEOAPI_CONFIG"], os.environ["PYGEOAPI_OPENAPI"] = str(config), str(openapi)

    import yaml
    from pygeoapi.openapi import get_oas

    # pygeoapi opens every provider when it writes its OpenAPI document; a dataset may break after that.
    whole = {name: one for name, one in work["config"]["resources"].items() if name not in work["broken"]}
    openapi.write_text(yaml.safe_dump(get_oas({**work["config"], "resources": whole})))
    answers = flask_answers(work["requests"]) if kind == "flask" else starlette_answers(work["requests"])
    assert not [name for name in sys.modules if name == "server" or name.startswith("server.")]
    sys.stdout.write(json.dumps(answers))


def flask_answers(requests: list[str]) -> list[dict[str, object]]:
    from pygeoapi.flask_app import APP

    client = APP.test_client()
    return [one(client.get(path), lambda answer: answer.data) for path in requests]


def starlette_answers(requests: list[str]) -> list[dict[str, object]]:
    from pygeoapi.starlette_app import APP
    from starlette.testclient import TestClient

    client = TestClient(APP, raise_server_exceptions=False)
    return [one(client.get(path), lambda answer: answer.content) for path in requests]


def one(answer, body) -> dict[str, object]:
    return {
        "status": answer.status_code,
        "headers": {name.lower(): value for name, value in answer.headers.items()},
        "body": base64.b64encode(body(answer)).decode(),
    }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
