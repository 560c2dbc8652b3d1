"""The part of `--check` that tests the broker: every topic, and an image as large as the service would send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from stream.settings.settings import ServiceSettings
from stream.sinks.broker_visit import BrokerVisit, NoBrokerError
from stream.sinks.echo import Proof
from stream.sinks.image_queue import WITHIN
from stream.sinks.round_trip import ImageProof, TopicProof, check_image, check_topics, snapshot_topic

_SHOWN: Final = 5
Row = tuple[str, str, str]  # what, state, found; the state "failed" fails the check


def broker_rows(settings: ServiceSettings, image: bytes) -> Iterator[Row]:
    """Rows of the table. `image` is a JPEG."""
    if settings.broker is None:
        yield "broker", "ok", "none given: an embedded one will be started"
        return
    shown, prefix = settings.broker.shown, settings.topic_prefix
    cameras = [camera.name for camera in settings.cameras]
    try:
        with BrokerVisit(settings.broker, settings.tls, settings.node) as visit:
            retained = "" if visit.connection.retains else "; retains no messages"
            yield "broker", "ok", f"{shown} (MQTT {visit.version}{retained})"
            yield from _topic_rows(check_topics(visit, prefix, settings.node, cameras), prefix)
            yield _image_row(check_image(visit, snapshot_topic(prefix, cameras[0]), image))
    except NoBrokerError as error:
        yield "broker", "failed", f"{shown} {error}"


def _topic_rows(proofs: Sequence[TopicProof], prefix: str) -> Iterator[Row]:
    own = [proof for proof in proofs if proof.topic.startswith(f"{prefix}/")]
    others = [proof for proof in proofs if proof not in own and proof.proof is Proof.FAILED]
    if back := [proof for proof in proofs if proof.proof is Proof.PROVEN]:
        yield "topics", "ok", f"messages on {len(back)} of {len(proofs)} topics came back"
    failed: dict[str, list[str]] = {}
    unproven: dict[str, list[str]] = {}
    for proof in proofs:
        if proof.proof is Proof.FAILED and proof in own:
            failed.setdefault(proof.reason, []).append(proof.topic)
        elif proof.proof is Proof.UNPROVEN:
            unproven.setdefault(proof.reason, []).append(proof.topic)
    for state, found in (("failed", failed), ("unproven", unproven)):
        for reason, topics in found.items():
            yield "topics", state, f"{_listed(topics)}: {reason}"
    if others:  # only Home Assistant uses them
        yield "discovery", "refused", f"{_listed([proof.topic for proof in others])}: {others[0].reason}"


def _listed(topics: Sequence[str]) -> str:
    more = f" and {len(topics) - _SHOWN} more" if len(topics) > _SHOWN else ""
    return ", ".join(topics[:_SHOWN]) + more


def _image_row(proof: ImageProof) -> Row:
    tried, accepted = f"{proof.tried:,} bytes", f"{proof.accepted:,} bytes"
    if not proof.accepted:
        return "images", "failed", f"the broker accepts no image of {tried} or less; check its maximum packet size"
    if proof.accepted < proof.tried:
        return "images", "ok", f"reduced to {accepted}: the broker does not accept {tried} (its maximum packet size)"
    if proof.seconds > WITHIN:
        return "images", "ok", f"{tried} took {proof.seconds:.1f} s: the service will send smaller ones"
    return "images", "ok", f"{tried} accepted"
