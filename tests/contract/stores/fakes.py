"""Two web servers on this machine that stores are tried against: a bucket, and plain files with faults to order.

`FakeBucket` honours what the emulator ignores (304); both play one scripted fault a request, and log what they got.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Handler = BaseHTTPRequestHandler
Fault = Callable[["Server", Handler, bytes], None]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Server:
    """A loopback HTTP/1.1 server in threads; subclasses answer what no fault was scripted for."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.authorizations: list[str | None] = []
        self.connections = 0
        self.faults: deque[Fault] = deque()
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        server = self

        class Bound(Handler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                server.connections += 1
                super().setup()

            def do_GET(self) -> None:
                server.handle(self)

            def do_POST(self) -> None:
                server.handle(self)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that hangs up is what these tests are about."""

        self._http = Quiet(("127.0.0.1", 0), Bound)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def handle(self, handler: Handler) -> None:
        with self.lock:
            self.requests.append(f"{handler.command} {handler.path}")
            self.authorizations.append(handler.headers.get("Authorization"))
            fault = self.faults.popleft() if self.faults else None
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if fault is not None:
            fault(self, handler, body)
        else:
            self.answer(handler, body)

    def answer(self, handler: Handler, body: bytes) -> None:
        raise NotImplementedError

    def reply(self, handler: Handler, status: int, body: bytes = b"", **headers: str) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Date" not in headers:
            handler.send_header("Date", format_datetime(datetime.now(UTC), usegmt=True))
        if status != 304:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def status(code: int, body: bytes = b"no", **headers: str) -> Fault:
    """Answer with a status."""
    return lambda server, handler, _: server.reply(handler, code, body, **headers)


def reset() -> Fault:
    """Cut the connection with an RST, without an answer."""

    def play(_: Server, handler: Handler, __: bytes) -> None:
        handler.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.connection.close()

    return play


def silent() -> Fault:
    """Take the request and never answer."""

    def play(server: Server, handler: Handler, _: bytes) -> None:
        server.stopping.wait()
        handler.close_connection = True

    return play


def applied_then_reset() -> Fault:
    """Do what was asked, and cut the connection instead of answering: a success that nobody hears of."""

    def play(server: Server, handler: Handler, body: bytes) -> None:
        handler.wfile = io.BytesIO()  # the answer goes nowhere
        server.answer(handler, body)
        reset()(server, handler, body)

    return play


def endless(code: int = 200, *, chunk: bytes = b"x" * 65536, pause_s: float = 0.0, **headers: str) -> Fault:
    """Answer with a body without length and without end: at full speed, or in drops."""

    def play(server: Server, handler: Handler, _: bytes) -> None:
        handler.send_response_only(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        while not server.stopping.is_set():
            handler.wfile.write(chunk)
            handler.wfile.flush()
            if pause_s:
                time.sleep(pause_s)

    return play


def cut(length: int = 1000, body: bytes = b"half", **headers: str) -> Fault:
    """Promise more bytes than are sent, then hang up."""

    def play(_: Server, handler: Handler, __: bytes) -> None:
        handler.send_response_only(200)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return play


def bomb(size: int) -> bytes:
    """Return gzip that unpacks to so many zeros."""
    return gzip.compress(b"\0" * size, mtime=0)


class WebFolder(Server):
    """Plain files as a web server or CDN offers them: ETag, Last-Modified, If-None-Match."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, datetime]] = {}
        super().__init__()

    def put(self, name: str, body: bytes, stamp: datetime | None = None) -> None:
        self.files[f"/{name}"] = (body, stamp or datetime.now(UTC).replace(microsecond=0))

    def answer(self, handler: Handler, body: bytes) -> None:
        file = self.files.get(handler.path)
        if file is None:
            return self.reply(handler, 404)
        content, stamp = file
        headers = {
            "ETag": f'"{sha256(content).hexdigest()[:16]}"',
            "Last_Modified": format_datetime(stamp, usegmt=True),
        }
        if handler.headers.get("If-None-Match") == headers["ETag"]:
            return self.reply(handler, 304, **headers)
        return self.reply(handler, 200, content, **headers)


class FakeBucket(Server):
    """The part of Cloud Storage's JSON API that a store uses, with every condition honoured."""

    def __init__(self, bucket: str = "bucket") -> None:
        self.bucket = bucket
        self.objects: dict[str, dict[str, Any]] = {}
        self.count = 0
        super().__init__()

    def answer(self, handler: Handler, body: bytes) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        where = re.fullmatch(r"/(download/|upload/)?storage/v1/b/([^/]+)/o(?:/(.+))?", parts.path)
        if where is None or where[2] != self.bucket:
            return self.error(handler, 404, "The specified bucket does not exist.")
        with self.lock:
            if handler.command == "POST":
                return self.upload(handler, query, body)
            if where[3] is None:
                return self.listing(handler, query)
            return self.download(handler, unquote(where[3]), query)

    def error(self, handler: Handler, code: int, message: str) -> None:
        body = json.dumps({"error": {"code": code, "message": message}}).encode()
        self.reply(handler, code, body, Content_Type="application/json")

    def store(self, name: str, body: bytes, **metadata: Any) -> dict[str, Any]:
        """Put an object as if somebody had written it, and return its resource."""
        self.count += 1
        now = datetime.now(UTC)
        kept = {
            "name": name,
            "generation": str(1_700_000_000_000_000 + self.count),
            "timeCreated": now.isoformat().replace("+00:00", "Z"),
            "size": str(len(body)),
            **metadata,
        }
        self.objects[name] = {"resource": kept, "body": body, "stamp": now}
        return kept

    def upload(self, handler: Handler, query: dict[str, str], body: bytes) -> None:
        boundary = re.search(rb'boundary="?([^";]+)', handler.headers["Content-Type"].encode())
        assert boundary is not None
        _, head, media, _ = body.split(b"--" + boundary[1])
        resource = json.loads(head.split(b"\r\n\r\n", 1)[1])
        content = media.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
        name = resource["name"]
        current = self.objects.get(name)
        found = current["resource"]["generation"] if current else "0"
        if query.get("ifGenerationMatch", found) != found:
            return self.error(handler, 412, "At least one of the pre-conditions you specified did not hold.")
        kept = self.store(name, content, cacheControl=resource.get("cacheControl"))
        return self.reply(handler, 200, json.dumps(kept).encode(), Content_Type="application/json")

    def download(self, handler: Handler, name: str, query: dict[str, str]) -> None:
        kept = self.objects.get(name)
        if kept is None:
            return self.error(handler, 404, f"No such object: {self.bucket}/{name}")
        resource, body = kept["resource"], kept["body"]
        if query.get("ifGenerationNotMatch") == resource["generation"]:
            return self.reply(handler, 304)
        extra = {"Content_Encoding": resource["contentEncoding"]} if "contentEncoding" in resource else {}
        return self.reply(
            handler,
            200,
            body,
            x_goog_generation=resource["generation"],
            x_goog_hash=f"md5={base64.b64encode(md5(body).digest()).decode()}",
            Last_Modified=format_datetime(kept["stamp"].replace(microsecond=0), usegmt=True),
            **extra,
        )

    def listing(self, handler: Handler, query: dict[str, str]) -> None:
        names = sorted(name for name in self.objects if name.startswith(query.get("prefix", "")))
        start = int(query.get("pageToken", "0"))
        size = min(int(query.get("maxResults", "2")), 2)  # tiny pages, so that paging is tried
        page: dict[str, Any] = {"items": [self.objects[name]["resource"] for name in names[start : start + size]]}
        if start + size < len(names):
            page["nextPageToken"] = str(start + size)
        self.reply(handler, 200, json.dumps(page).encode(), Content_Type="application/json")
