"""Static files: style sheets, scripts and pictures, read and compressed once at start.

Decides addresses (`/static/<hash>/<name>`) and caching. Never reads a path from a request: only files read at start exist.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".png": "image/png",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file, plain and gzip-compressed (`packed`)."""

    address: str
    content_type: str
    plain: bytes
    packed: bytes


def read(folder: Path = FOLDER) -> Mapping[str, Asset]:
    """Read the static files below `folder`, by relative name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in TYPES:
            continue
        name = path.relative_to(folder).as_posix()
        plain = path.read_bytes()
        digest = hashlib.sha256(plain).hexdigest()[:12]
        found[name] = Asset(
            address=f"/static/{digest}/{name}",
            content_type=TYPES[path.suffix],
            plain=plain,
            packed=gzip.compress(plain, mtime=0),
        )
    return found


def serve(assets: Mapping[str, Asset], request: Request) -> Response | None:
    """Return the file that the request names, or None; only an address with the current hash is cached for ever."""
    asset = assets.get(request.path_params["name"])
    if asset is None:
        return None
    headers = {"Vary": "Accept-Encoding"}
    if request.url.path == asset.address:
        headers["Cache-Control"] = _FOR_EVER
    body = asset.plain
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = asset.packed
    return Response(body, media_type=asset.content_type, headers=headers)
