"""The people who use the page: what each may see and change, and which proxies may say who somebody is."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final


@dataclass(frozen=True)
class Person:
    """Somebody with access. An operator may change what they see; a viewer may only look.

    cameras: the cameras that they see; None means all.
    token: None for somebody whom only a proxy can name.
    """

    name: str
    operator: bool
    cameras: frozenset[str] | None = None
    token: str | None = field(default=None, repr=False)

    def sees(self, camera: str) -> bool:
        return self.cameras is None or camera in self.cameras


ANYBODY: Final = Person("page", operator=True)  # whoever reaches a page without tokens
TOKEN_HOLDER: Final = "operator"  # noqa: S105 -- a name: whoever holds the token of --http-token-file


@dataclass(frozen=True)
class Proxy:
    """A reverse proxy that has authenticated a person names them in a `header`. Only `trusted` addresses may."""

    header: str
    trusted: tuple[IPv4Network | IPv6Network, ...]

    def trusts(self, address: str) -> bool:
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(found in network for network in self.trusted)


@dataclass(frozen=True)
class People:
    """Everybody with access. Without any, whoever reaches the page is an operator (loopback only)."""

    people: tuple[Person, ...] = ()
    proxy: Proxy | None = None

    @property
    def nobody(self) -> bool:
        return not self.people

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings that must not appear in any output."""
        return tuple(person.token for person in self.people if person.token)

    def with_token(self, token: str | None) -> People:
        """With the operator of all cameras who holds `token`."""
        if token is None:
            return self
        return People((Person(TOKEN_HOLDER, operator=True, token=token), *self.people), self.proxy)

    def named(self, name: str) -> Person | None:
        return next((person for person in self.people if person.name == name), None)
