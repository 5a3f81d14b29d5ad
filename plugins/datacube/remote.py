"""How is an object store or a web server reached, with retries that end?

One set of storage options serves obstore (plain Zarr) and Icechunk, which has its own client: the options are named
once here, and translated for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import icechunk
from obstore.store import AzureStore, GCSStore, HTTPStore, ObjectStore, S3Store

from plugins.datacube.errors import DatasetError

CONNECT_TIMEOUT: Final = timedelta(seconds=5)
REQUEST_TIMEOUT: Final = timedelta(seconds=15)
MAX_RETRIES: Final = 5
RETRY_TIMEOUT: Final = timedelta(seconds=8)
"""A request that waits for an answer is given up after this; a job has the same patience, and retries as a whole."""

SCHEMES: Final = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az", "http": "http",
    "https": "http",
}  # fmt: skip
ALIASES: Final = {
    "anonymous": "skip_signature",
    "anon": "skip_signature",
    "endpoint_url": "endpoint",
    "key": "access_key_id",
    "secret": "secret_access_key",
    "token": "session_token",
    "account": "account_name",
}
"""Names that people know from other clients, and obstore's own."""
PATH_STYLE: Final = "path_style"
ICECHUNK_S3: Final = {
    "region": "region",
    "endpoint": "endpoint_url",
    "skip_signature": "anonymous",
    "access_key_id": "access_key_id",
    "secret_access_key": "secret_access_key",
    "session_token": "session_token",
    "allow_http": "allow_http",
    PATH_STYLE: "force_path_style",
}
ICECHUNK_GCS: Final = {
    "skip_signature": "anonymous",
    "service_account": "service_account_file",
    "service_account_key": "service_account_key",
    "application_credentials": "application_credentials",
}
ICECHUNK_AZURE: Final = {
    "account_name": "account",
    "skip_signature": "anonymous",
    "account_key": "access_key",
    "sas_token": "sas_token",
}


def options_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the storage options under obstore's names (without the prefix ``aws_``, ``google_`` or ``azure_``)."""
    named: dict[str, Any] = {}
    for name, value in options.items():
        plain = str(name).lower()
        for prefix in ("aws_", "google_", "azure_storage_", "azure_"):
            plain = plain.removeprefix(prefix)
        named[ALIASES.get(plain, plain)] = value
    return named


def _scheme(href: str, label: str) -> str:
    scheme = SCHEMES.get(urlsplit(href).scheme.lower())
    if scheme is None:
        raise DatasetError(f"the address of {label} starts with none of s3://, gs://, az://, https://, http://")
    return scheme


def object_store(href: str, label: str, options: Mapping[str, Any]) -> ObjectStore:
    """Return the obstore client whose root is the store.

    Parameters
    ----------
    href : str
        URL of the store.
    label : str
        Name for messages.
    options : mapping
        ``region``, ``endpoint``, ``anonymous``, ``access_key_id``, ``secret_access_key``, ``session_token``,
        ``allow_http``, ``path_style``, or any other key of obstore's store of that kind; ``headers`` for a web server.

    Raises
    ------
    DatasetError
        If the scheme is not known, or an option is not.
    """
    scheme = _scheme(href, label)
    named = options_of(options)
    endpoint = str(named.get("endpoint", href))
    client: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT,
        "timeout": REQUEST_TIMEOUT,
        "allow_http": bool(named.pop("allow_http", endpoint.startswith("http://"))),
    }
    if headers := named.pop("headers", None):
        client["default_headers"] = {str(name): str(value) for name, value in headers.items()}
    retry: Any = {"max_retries": MAX_RETRIES, "retry_timeout": RETRY_TIMEOUT}
    shared: dict[str, Any] = {"client_options": client, "retry_config": retry}
    if PATH_STYLE in named:
        named["virtual_hosted_style_request"] = not named.pop(PATH_STYLE)
    config: Any = {key: value for key, value in named.items() if value is not None}
    try:
        if scheme == "s3":
            return S3Store.from_url(href, config=config, **shared)
        if scheme == "gs":
            return GCSStore.from_url(href, config=config, **shared)
        if scheme == "az":
            return AzureStore.from_url(href, config=config, **shared)
        if config:
            raise DatasetError(f"{label} has storage options that a web server does not take: {', '.join(config)}")
        return HTTPStore.from_url(href, **shared)
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(f"the address or a storage option of {label} is not valid for its object store") from error


def icechunk_storage(href: str, label: str, options: Mapping[str, Any]) -> icechunk.Storage:
    """Return Icechunk's storage for the same URL and options.

    Raises
    ------
    DatasetError
        If an option has no counterpart in Icechunk.
    """
    scheme = _scheme(href, label)
    named = options_of(options)
    parts = urlsplit(href)
    prefix = parts.path.strip("/")
    if scheme == "http":
        return icechunk.http_storage(href.rstrip("/"), opts={"allow_http": "true"}, headers=named.get("headers"))
    if scheme == "s3":
        if str(named.get("endpoint", "")).startswith("http://"):
            named.setdefault("allow_http", True)
        arguments = _translate(named, ICECHUNK_S3, label)
        return icechunk.s3_storage(
            bucket=parts.netloc,
            prefix=prefix or None,
            network_stream_timeout_seconds=int(REQUEST_TIMEOUT.total_seconds()),
            **arguments,
        )
    if scheme == "gs":
        return icechunk.gcs_storage(
            bucket=parts.netloc, prefix=prefix or None, **_translate(named, ICECHUNK_GCS, label)
        )
    arguments = _translate(named, ICECHUNK_AZURE, label)
    if "account" not in arguments:
        raise DatasetError(f"{label} needs the storage option account_name")
    return icechunk.azure_storage(container=parts.netloc, prefix=prefix, **arguments)


def _translate(named: Mapping[str, Any], table: Mapping[str, str], label: str) -> dict[str, Any]:
    if unknown := sorted(set(named) - set(table)):
        raise DatasetError(f"{label} is an Icechunk repository; it takes no storage option {', '.join(unknown)}")
    return {table[name]: value for name, value in named.items()}


def icechunk_config() -> icechunk.RepositoryConfig:
    """Return a repository configuration with the same bounds on retries and waiting."""
    return icechunk.RepositoryConfig(
        storage=icechunk.StorageSettings(
            retries=icechunk.StorageRetriesSettings(
                max_tries=MAX_RETRIES,
                initial_backoff_ms=100,
                max_backoff_ms=int(RETRY_TIMEOUT.total_seconds() * 1000) // MAX_RETRIES,
            ),
            timeouts=icechunk.StorageTimeoutSettings(
                connect_timeout_ms=int(CONNECT_TIMEOUT.total_seconds() * 1000),
                read_timeout_ms=int(REQUEST_TIMEOUT.total_seconds() * 1000),
                operation_attempt_timeout_ms=int(REQUEST_TIMEOUT.total_seconds() * 1000),
            ),
        )
    )
