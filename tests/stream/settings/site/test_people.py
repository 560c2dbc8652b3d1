"""People and their proxy in the site file."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from stream.base.people import Person, Proxy
from stream.settings.flags import Flags, options
from tests.stream.settings.site.site_texts import problems, site

PEOPLE = """
http:
  people:
    anna: {role: operator, token: "{MGFN_ANNA}"}
    porter@example.com: {role: viewer, cameras: [door]}
  proxy: {user_header: Remote-User, trusted: [10.0.0.0/24, "::1"]}
cameras: {door: {url: rtsp://h/1}}
"""


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_ANNA", "0123456789abcdef")


def test_the_address_of_the_page() -> None:
    text = "http: {url: https://cameras.example}\ncameras: {}\n"
    assert options(Flags(), site(text)).page == "https://cameras.example/"
    for url in (
        "cameras.example", "https://anna:pw@cameras.example/", "https://cameras.example/#x", "rtsp://h/",
        "https://cameras.example/desk/", "https://kämera.example/",
    ):  # fmt: skip
        (problem,) = problems(text.replace("https://cameras.example", url))
        assert "http.url" in problem
        assert "pw" not in problem


def test_people() -> None:
    given = options(Flags(), site(PEOPLE))
    anna, porter = given.people.people
    assert given.people.with_token("0" * 16).named("operator") is None  # no proxy names whoever holds that token
    assert anna == Person("anna", operator=True, token="0123456789abcdef")
    assert porter == Person("porter@example.com", operator=False, cameras=frozenset({"door"}))
    assert given.people.proxy == Proxy("Remote-User", (ip_network("10.0.0.0/24"), ip_network("::1")))
    assert given.people.proxy.trusts("10.0.0.7")
    assert not given.people.proxy.trusts("10.0.1.7")
    assert "0123456789abcdef" in given.secrets
    assert "0123456789abcdef" not in repr(given)


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("[door]", "[dor]", "http.people.porter@example.com.cameras: dor: not a camera of this file; did you mean"),
        ("[door]", "[]", "at least 1"),
        ("role: viewer", "role: admin", "http.people.porter@example.com.role"),
        ('"{MGFN_ANNA}"', "short", "has 5 characters; must have at least 16"),
        ("cameras: [door]}", 'token: "{MGFN_ANNA}"}', "two have the same token; each needs their own"),
        ("  proxy:", "  #", "people.porter@example.com: has no token, and there is no `proxy`"),
        ("[10.0.0.0/24", "[10.0.0.1/24", "'10.0.0.1/24'; must be an IP address or network"),
        ("Remote-User", "Remote User", "must be the name of a header, such as Remote-User"),
        ("anna:", "operator:", "must not be operator"),
        ("anna:", "an na:", "a person's name has 1 to 64 characters of"),
    ],
)
def test_wrong_people(was: str, becomes: str, says: str) -> None:
    found = problems(PEOPLE.replace(was, becomes, 1))
    assert any(says in problem for problem in found), found


def test_a_proxy_without_people() -> None:
    found = problems("http: {proxy: {user_header: A, trusted: [::1]}}\ncameras: {door: {url: rtsp://h/1}}\n")
    assert any("`people` is required" in problem for problem in found), found
