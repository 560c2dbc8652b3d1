"""Keys of the site file under `http`: the address, and who has access."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from stream.settings.site.site_model import SiteModel
from stream.settings.site.values import HEADER, FilePath, ListenAddress, Network, PageUrl, PersonName, SigningSecret


class PersonModel(SiteModel):
    """Somebody who may use the page."""

    role: Literal["operator", "viewer"] = Field(
        description="operator: may answer alarms and change settings; viewer: may only look."
    )
    token: SigningSecret | None = Field(
        None,
        repr=False,
        description="What this person enters to log in, at least 16 characters: write `{MGFN_NAME}`. Default: none, "
        "only the proxy can name this person.",
    )
    cameras: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="The only cameras that this person sees. Default: all."
    )


class ProxyModel(SiteModel):
    """A reverse proxy that authenticates people and names them in a header."""

    user_header: Annotated[str, StringConstraints(pattern=HEADER)] = Field(
        description="The header with the person's name, such as Remote-User. The proxy must set or remove it in every "
        "request."
    )
    trusted: Annotated[list[Network], Field(min_length=1)] = Field(
        description="Addresses or networks of the proxy, such as 127.0.0.1. The header of any other address is ignored."
    )


class HttpModel(SiteModel):
    """The HTTP server: web page, API, metrics, health."""

    address: ListenAddress | None = Field(
        None, description="HOST:PORT, or off. Default: 127.0.0.1:8080, or the next free port. Flag: --http."
    )
    url: PageUrl | None = Field(
        None,
        description="Address at which people reach the page, if it is another one, such as https://cameras.example/ "
        "behind a proxy. Notifications, Home Assistant and the desk link to it. Default: `address`, if other machines "
        "reach it.",
    )
    token_file: FilePath | None = Field(
        None, description="File that contains the token of an operator of all cameras. Flag: --http-token-file."
    )
    people: Annotated[dict[PersonName, PersonModel], Field(min_length=1, max_length=1_000)] | None = Field(
        None, description="Everybody else who may use the page, by name. Default: nobody."
    )
    proxy: ProxyModel | None = Field(None, description="A reverse proxy that names people. Default: none.")

    @model_validator(mode="after")
    def _known_people(self) -> HttpModel:
        people = self.people or {}
        if self.proxy is not None and not people:
            raise ValueError("`proxy` names people; `people` is required")
        tokens = [person.token for person in people.values() if person.token is not None]
        if len(set(tokens)) < len(tokens):
            raise ValueError("people: two have the same token; each needs their own")
        if self.proxy is None:
            for name, person in people.items():
                if person.token is None:
                    raise ValueError(f"people.{name}: has no token, and there is no `proxy`; one of them is required")
        return self
