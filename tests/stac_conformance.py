"""stac-api-validator without a network: `python -m tests.stac_conformance SCHEMAS ARGUMENTS…`.

The validator and what it is made of fetch JSON schemas by `requests`. `SCHEMAS` is a folder that has them as
HOST/PATH; what asks for anything else away from this machine is told that it cannot be reached.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from stac_api_validator.__main__ import main

LOOPBACK = "127.0.0.1"


def serve_from(folder: Path) -> None:
    """Answer all requests that leave this machine from the folder."""
    send = HTTPAdapter.send

    def answered(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        url = urlsplit(request.url or "")
        if url.hostname == LOOPBACK:
            return send(adapter, request, *args, **kwargs)
        file = folder / str(url.hostname) / unquote(url.path).lstrip("/")
        if not file.is_file():
            raise requests.ConnectionError(f"not at hand: {request.url}")
        response = requests.Response()
        response.status_code, response.url, response.request = 200, str(request.url), request
        response.headers["Content-Type"] = "application/json"
        response._content = file.read_bytes()
        return response

    HTTPAdapter.send = answered  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    serve_from(Path(sys.argv.pop(1)))
    main()
