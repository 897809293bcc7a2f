"""The operations page at /api/dashboard: files that `web/` was built into.

The page itself holds no data and asks for no key; what it shows it gets from the API, with the key that the
person has typed in. Its policy lets it load and ask nothing but this app.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

import azure.functions as func

from interfaces.access import Role
from interfaces.errors import NotFound

from .dependencies import HttpDependencies
from .requests import Query, Request
from .routing import AsyncHandler, Endpoint

DIST = Path(__file__).resolve().parents[2] / "web" / "dist"
PAGE = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served at all: a file of another type is not a part of the page."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # Thumbnails and downloads are asked for with the key, and shown from memory.
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept-Encoding",
}
FOR_GOOD = "public, max-age=31536000, immutable"
"""Of files whose names have a hash of their content."""
REVALIDATED = "no-cache"
WORTH_PACKING = 1024


@dataclass(frozen=True)
class File:
    """A file of the page: as it is, and packed where that is worth it."""

    content: bytes
    packed: bytes | None
    media_type: str
    etag: str
    """Without quotes."""
    cache_control: str


def endpoints(_: HttpDependencies) -> list[Endpoint]:
    """The endpoint of this module."""
    look: dict[str, AsyncHandler] = {"GET": page}
    return [
        Endpoint(
            "dashboard",
            "dashboard/{*path}",
            look,
            Role.ANYONE,
            traced=False,
            documented_at="dashboard",
        )
    ]


async def page(request: Request) -> func.HttpResponse:
    """The page, or a file of it. Nothing waits: files are read once, and are in memory from then on."""
    request.query(Query)
    # Asked for with a slash at its end, the page looks for its files one level further down.
    name = request.optional("path").removeprefix("dashboard/") or PAGE
    file = files(DIST).get(name)
    if file is None:
        _missing(name)
    packed = file.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
    # Each encoding is another representation, with an etag of its own (RFC 9110, section 8.8.3).
    etag = f'"{file.etag}{"-gzip" if packed else ""}"'
    headers = {**HEADERS, "ETag": etag, "Cache-Control": file.cache_control}
    if etag in _etags(request.headers):
        return func.HttpResponse(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    body = file.packed if packed else file.content
    return func.HttpResponse(body, status_code=200, mimetype=file.media_type, headers=headers)


@cache
def files(folder: Path) -> Mapping[str, File]:
    """Every file below the folder, by its path. What is asked for is looked up here, never on the disk."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in TYPES)
    return {path.relative_to(folder).as_posix(): _read(path, folder) for path in found}


def _read(path: Path, folder: Path) -> File:
    content = path.read_bytes()
    packed = gzip.compress(content, 6, mtime=0) if len(content) >= WORTH_PACKING else content
    return File(
        content=content,
        packed=packed if len(packed) < len(content) else None,
        media_type=TYPES[path.suffix],
        etag=hashlib.sha256(content).hexdigest()[:32],
        cache_control=FOR_GOOD if path.parent != folder else REVALIDATED,
    )


def _etags(headers: Mapping[str, str]) -> list[str]:
    """The etags in If-None-Match, which compares weakly (RFC 9110, section 13.1.2)."""
    given = headers.get("if-none-match", "").split(",")
    return [one.strip().removeprefix("W/") for one in given]


def _missing(name: str) -> NoReturn:
    if name == PAGE:
        raise NotFound("the operations page is not there: web/dist was not deployed")
    raise NotFound("no file of the operations page has this name")
