"""SOAP 1.2 over HTTP, as ONVIF devices speak it. Answers are not trusted: their size, time and XML are limited."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

import httpx

from stream.discovery.errors import DeviceError

LARGEST_ANSWER: Final = 2 << 20
_LONGEST_TEXT: Final = 100
_SECURITY: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_UNAUTHORIZED: Final = "wrong user or password, or a user without the right to use ONVIF"


@dataclass(frozen=True)
class Login:
    """A camera's user and password."""

    user: str
    password: str = field(repr=False)


class SoapClient:
    """Asks one device. The password is sent as a digest only: WS-UsernameToken and, if asked for, HTTP digest."""

    def __init__(self, http: httpx.AsyncClient, login: Login | None) -> None:
        self._http = http
        self._login = login
        self.clock_offset = timedelta()  # the device's clock minus ours

    async def ask(self, url: str, request: str, *, login: bool = True) -> Element:
        """The body of the answer to `request` (XML). Raises DeviceError."""
        known = self._login if login else None
        header = "" if known is None else _username_token(known, datetime.now(UTC) + self.clock_offset)
        envelope = (
            '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
            f"<s:Header>{header}</s:Header><s:Body>{request}</s:Body></s:Envelope>"
        )
        auth = None if known is None else httpx.DigestAuth(known.user, known.password)
        try:
            status, content = await self._post(url, envelope.encode(), auth)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:  # the latter by a false challenge
            raise DeviceError(_reason(error)) from None
        if status == 401:
            raise DeviceError(_UNAUTHORIZED, unauthorized=True)
        if 300 <= status < 400:
            raise DeviceError("the answer is a redirect, which is not followed")
        body = parse_xml(content).find("{*}Body")
        if body is None:
            raise DeviceError(f"no ONVIF answer (HTTP status {status})")
        if (fault := body.find("{*}Fault")) is not None:
            raise _fault(fault)
        return body

    async def _post(self, url: str, envelope: bytes, auth: httpx.Auth | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/soap+xml; charset=utf-8", "Accept-Encoding": "identity"}
        async with self._http.stream("POST", url, content=envelope, headers=headers, auth=auth) as answer:
            content = b""
            async for part in answer.aiter_raw():  # not decompressed: a small answer could become a huge one
                content += part
                if len(content) > LARGEST_ANSWER:
                    raise DeviceError(f"an answer of more than {LARGEST_ANSWER >> 20} MiB")
            return answer.status_code, content


def parse_xml(content: bytes) -> Element:
    """An XML document without a document type: none defines entities. Raises DeviceError."""
    try:
        text = content.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:  # SOAP forbids both
            raise DeviceError("the answer defines XML entities, which is not allowed")
        return ElementTree.fromstring(text)  # noqa: S314 -- without entities, of limited size
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError):
        raise DeviceError("the answer is not XML") from None


def text_of(element: Element | None, path: str) -> str:
    """The text at `path`, without control characters and of limited length; "" if there is none."""
    found = None if element is None else element.find(path)
    return "" if found is None else plain("".join(found.itertext()))


def plain(text: str) -> str:
    """What a device says, for display."""
    words = " ".join("".join(mark if mark.isprintable() else " " for mark in text[: 4 * _LONGEST_TEXT]).split())
    return words[:_LONGEST_TEXT]


def element(name: str, text: str = "", **attributes: str) -> str:
    """An XML element with escaped text."""
    given = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{given}>{escape(text)}</{name.partition(' ')[0]}>"


def _fault(fault: Element) -> DeviceError:
    codes = " ".join("".join(code.itertext()) for code in fault.iter() if code.tag.endswith("}Value"))
    if "NotAuthorized" in codes or "FailedAuthentication" in codes or "InvalidSecurity" in codes:
        return DeviceError(_UNAUTHORIZED, unauthorized=True)
    said = text_of(fault, ".//{*}Text") or text_of(fault, "{*}faultstring") or plain(codes) or "no reason given"
    return DeviceError(f"it refuses the question: {said}")


def _username_token(login: Login, at: datetime) -> str:
    nonce, created = os.urandom(16), at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    digest = hashlib.sha1(nonce + created.encode() + login.password.encode()).digest()  # noqa: S324 -- the standard's
    digested = f"{_SECURITY}-username-token-profile-1.0#PasswordDigest"
    encoded = f"{_SECURITY}-soap-message-security-1.0#Base64Binary"
    return (
        f'<w:Security s:mustUnderstand="true" xmlns:w="{_SECURITY}-wssecurity-secext-1.0.xsd" '
        f'xmlns:u="{_SECURITY}-wssecurity-utility-1.0.xsd"><w:UsernameToken>{element("w:Username", login.user)}'
        f"{element('w:Password', base64.b64encode(digest).decode(), Type=digested)}"
        f"{element('w:Nonce', base64.b64encode(nonce).decode(), EncodingType=encoded)}"
        f"{element('u:Created', created)}</w:UsernameToken></w:Security>"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return "no connection" if isinstance(error, httpx.ConnectError) else "not a valid HTTP answer"
