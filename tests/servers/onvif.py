"""An ONVIF device on a free loopback port: SOAP with WS-UsernameToken or HTTP digest; it lies and hangs on demand."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.servers.http import serving

_NAMESPACES = (
    'xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="http://www.onvif.org/ver10/device/wsdl" '
    'xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tr2="http://www.onvif.org/ver20/media/wsdl" '
    'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:ter="http://www.onvif.org/ver10/error"'
)
_FAULT = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{code}</s:Value></s:Subcode></s:Code>"
    '<s:Reason><s:Text xml:lang="en">{text}</s:Text></s:Reason></s:Fault>'
)


@dataclass(frozen=True)
class Stream:
    """A media profile of the device."""

    url: str
    width: int = 1920
    height: int = 1080
    encoding: str = "H264"
    source: str = "source0"


class OnvifDevice:
    """`url` is its device service. `raw`: instead of an answer, by operation: bytes, or a function that gets the
    handler.
    """

    def __init__(
        self,
        *streams: Stream,
        name: str = "Front door",
        login: tuple[str, str] | None = None,
        auth: Literal["token", "digest"] = "token",
        version: Literal[1, 2] = 1,
        media: str = "",
        clock: float = 0.0,
    ) -> None:
        self.streams, self.name, self.login, self.auth, self.version, self.clock = (
            streams, name, login, auth, version, clock,
        )  # fmt: skip
        self.asked: list[str] = []
        self.requests = b""
        self.raw: dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]] = {}
        device = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                device.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}/onvif/device_service"
        self.media = media or f"http://{self.host}/onvif/media"

    @contextmanager
    def running(self) -> Iterator[OnvifDevice]:
        with serving(self._server):
            yield self

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        content = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.requests += content + str(handler.headers).encode()
        envelope = ElementTree.fromstring(content)
        body = envelope.find("{*}Body")
        assert body is not None
        request = body[0]
        operation = request.tag.partition("}")[2]
        self.asked.append(operation)
        raw = self.raw.get(operation)
        if callable(raw):
            raw(handler)
            return
        status, headers = 200, {"Content-Type": "application/soap+xml"}
        if isinstance(raw, bytes):
            answer = raw
        elif operation != "GetSystemDateAndTime" and not self._admits(handler, envelope):
            status = 401 if self.auth == "digest" else 400
            if self.auth == "digest":
                headers["WWW-Authenticate"] = 'Digest realm="camera", nonce="n1", qop="auth", algorithm=MD5'
            answer = _envelope(_FAULT.format(code="ter:NotAuthorized", text="Sender not Authorized"))
        else:
            status, answer = self._answer(operation, request)
        try:
            handler.send_response(status)
            for key, value in headers.items():
                handler.send_header(key, value)
            handler.send_header("Content-Length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer)
        except OSError:
            pass

    def _admits(self, handler: BaseHTTPRequestHandler, envelope: ElementTree.Element) -> bool:
        if self.login is None:
            return True
        user, password = self.login
        if self.auth == "digest":
            given = dict(re.findall(r'(\w+)="?([^",]+)"?', handler.headers.get("Authorization", "")))
            if given.get("username") != user:
                return False
            first = _md5(f"{user}:camera:{password}")
            second = _md5(f"POST:{handler.path}")
            right = _md5(f"{first}:n1:{given['nc']}:{given['cnonce']}:auth:{second}")
            return given["response"] == right
        token = envelope.find(".//{*}UsernameToken")
        if token is None or token.findtext("{*}Username") != user:
            return False
        nonce, created = base64.b64decode(token.findtext("{*}Nonce") or ""), token.findtext("{*}Created") or ""
        at = time.mktime(time.strptime(created[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        if abs(at - (time.time() + self.clock)) > 5:  # as cameras do, against replayed requests
            return False
        digest = hashlib.sha1(nonce + created.encode() + password.encode()).digest()
        return token.findtext("{*}Password") == base64.b64encode(digest).decode()

    def _answer(self, operation: str, request: ElementTree.Element) -> tuple[int, bytes]:
        if operation == "GetSystemDateAndTime":
            now = time.gmtime(time.time() + self.clock)
            date = f"<tt:Year>{now.tm_year}</tt:Year><tt:Month>{now.tm_mon}</tt:Month><tt:Day>{now.tm_mday}</tt:Day>"
            hour = f"<tt:Hour>{now.tm_hour}</tt:Hour><tt:Minute>{now.tm_min}</tt:Minute>"
            hour += f"<tt:Second>{now.tm_sec}</tt:Second>"
            text = (
                "<tds:SystemDateAndTime><tt:UTCDateTime>"
                f"<tt:Time>{hour}</tt:Time><tt:Date>{date}</tt:Date></tt:UTCDateTime></tds:SystemDateAndTime>"
            )
        elif operation == "GetDeviceInformation":
            text = "<tds:Manufacturer>Maker</tds:Manufacturer><tds:Model>M1</tds:Model>"
        elif operation == "GetScopes":
            scope = f"onvif://www.onvif.org/name/{self.name}"
            text = f"<tds:Scopes><tt:ScopeItem>{escape(scope)}</tt:ScopeItem></tds:Scopes>"
        elif operation == "GetServices":
            kind = {1: "ver10/media", 2: "ver20/media"}[self.version]
            text = (
                f"<tds:Service><tds:Namespace>http://www.onvif.org/{kind}/wsdl</tds:Namespace>"
                f"<tds:XAddr>{escape(self.media)}</tds:XAddr></tds:Service>"
            )
        elif operation == "GetCapabilities":
            address = f"<tt:XAddr>{escape(self.media)}</tt:XAddr>"
            text = f"<tds:Capabilities><tt:Media>{address}</tt:Media></tds:Capabilities>"
        elif operation == "GetProfiles":
            text = "".join(self._profile(number, stream) for number, stream in enumerate(self.streams))
        elif operation == "GetStreamUri":
            number = int((request.findtext("{*}ProfileToken") or "").removeprefix("profile"))
            uri = f"<tt:Uri>{escape(self.streams[number].url)}</tt:Uri>"
            text = uri.replace("tt:", "tr2:") if self.version == 2 else f"<trt:MediaUri>{uri}</trt:MediaUri>"
        else:
            return 500, _envelope(_FAULT.format(code="ter:ActionNotSupported", text="No such <b>action</b>"))
        return 200, _envelope(f"<tds:{operation}Response>{text}</tds:{operation}Response>")

    def _profile(self, number: int, stream: Stream) -> str:
        size = f"<tt:Width>{stream.width}</tt:Width><tt:Height>{stream.height}</tt:Height>"
        source = f"<tt:SourceToken>{stream.source}</tt:SourceToken>"
        video = f"<tt:Encoding>{stream.encoding}</tt:Encoding><tt:Resolution>{size}</tt:Resolution>"
        if self.version == 2:
            inner = f"<tr2:VideoSource>{source}</tr2:VideoSource><tr2:VideoEncoder>{video}</tr2:VideoEncoder>"
            inner = f"<tr2:Configurations>{inner}</tr2:Configurations>"
        else:
            inner = f"<tt:VideoSourceConfiguration>{source}</tt:VideoSourceConfiguration>"
            inner += f"<tt:VideoEncoderConfiguration>{video}</tt:VideoEncoderConfiguration>"
        return f'<trt:Profiles token="profile{number}"><tt:Name>P{number}</tt:Name>{inner}</trt:Profiles>'


def _envelope(body: str) -> bytes:
    return f'<?xml version="1.0"?><s:Envelope {_NAMESPACES}><s:Body>{body}</s:Body></s:Envelope>'.encode()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@contextmanager
def answering_probes(url: str, name: str) -> Iterator[None]:
    """Answers WS-Discovery on the loopback interface with this address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind(("239.255.255.250", 3702))
        index = socket.if_nametoindex("lo")
        udp.setsockopt(
            socket.IPPROTO_IP,
            socket.IP_ADD_MEMBERSHIP,
            struct.pack("=4s4si", socket.inet_aton("239.255.255.250"), bytes(4), index),
        )
        udp.settimeout(0.1)
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                try:
                    data, sender = udp.recvfrom(65_535)
                except TimeoutError:
                    continue
                if b"NetworkVideoTransmitter" not in data:
                    continue
                asked = ElementTree.fromstring(data).findtext(".//{*}MessageID") or ""
                for junk in (b"\xff\xfe", b"<a/>", b"<!DOCTYPE a []><a/>"):
                    udp.sendto(junk, sender)
                scope = f"onvif://www.onvif.org/name/{name}"
                match = f"<d:ProbeMatch><d:Scopes>{scope}</d:Scopes><d:XAddrs>{url}</d:XAddrs></d:ProbeMatch>"
                udp.sendto(
                    f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="a" xmlns:d="d"><s:Header>'
                    f"<a:RelatesTo>{asked}</a:RelatesTo></s:Header><s:Body>{match}</s:Body></s:Envelope>".encode(),
                    sender,
                )

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join(10)
