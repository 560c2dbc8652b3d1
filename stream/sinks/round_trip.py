"""For `--check`: publishes to each topic of the contract, and checks that the message comes back.

The messages have no lasting effect. A state is published with its retained payload, or else as it is while the program
is stopped, and not retained. Events are marked as tests, and commands have a payload that the service ignores.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stream.alarm.event import Event, EventMessage, ModelName, Moment
from stream.alarm.requests import CHECK, WORDS
from stream.sinks.broker_visit import ANSWERED_WITHIN, BrokerVisit
from stream.sinks.echo import DROPPED, NOT_BACK, Proof
from stream.sinks.home_assistant import discovery_topic
from stream.sinks.image_queue import LEAST, shrunk
from stream.sinks.topics import CAMERA, SITE

_PATIENCE: Final = 3.0  # seconds without any message
_SLOWEST: Final = 2_000.0  # bytes per second
_OVERHEAD: Final = 32  # bytes of a packet besides topic and payload
CANNOT_READ: Final = "published; this account may not read the topic, so delivery is unproven"


@dataclass(frozen=True)
class TopicProof:
    """Whether a message on the topic came back, and if not, why."""

    topic: str
    proof: Proof
    reason: str = ""


@dataclass(frozen=True)
class ImageProof:
    """An image of `tried` bytes was sent, and the broker accepted `accepted` of them: 0 if it accepts no image.

    `seconds`: time until it was acknowledged.
    """

    tried: int
    accepted: int
    seconds: float


def snapshot_topic(prefix: str, camera: str) -> str:
    return f"{prefix}/{camera}/anomaly/snapshot"


def check_topics(visit: BrokerVisit, prefix: str, node: str, cameras: Sequence[str]) -> list[TopicProof]:
    """Publish to every topic except images."""
    wanted, events = _messages(prefix, node, cameras), f"{prefix}/events"
    unreadable = visit.subscribe([*wanted, events, *(snapshot_topic(prefix, camera) for camera in cameras)])
    payloads = [(topic, visit.retained.get(topic, payload)) for topic, payload in wanted.items()]
    payloads += [(events, json.dumps(message.as_json()).encode()) for message in _test_event(cameras[0])]
    refused = _publish(visit, payloads)
    back = {topic for topic, payload in payloads if visit.received(topic, payload)}
    found = []
    for topic in dict.fromkeys(topic for topic, _ in payloads):
        is_command = topic.endswith("/set")  # only others publish there
        if topic in back:
            found.append(TopicProof(topic, Proof.PROVEN))
        elif topic in refused and not is_command:
            found.append(TopicProof(topic, Proof.FAILED, refused[topic]))
        elif is_command or not back or visit.connection.reports_refusals or topic in unreadable:
            found.append(TopicProof(topic, Proof.UNPROVEN, CANNOT_READ))
        else:
            found.append(TopicProof(topic, Proof.FAILED, NOT_BACK))
    return found


def check_image(visit: BrokerVisit, topic: str, jpeg: bytes) -> ImageProof:
    """Publish an image as large as the service would, and smaller ones while the broker drops the connection."""
    limit = visit.connection.packet_limit
    most = len(jpeg) if limit is None else min(len(jpeg), limit - len(topic.encode()) - _OVERHEAD)
    while most >= min(LEAST, len(jpeg)) and (smaller := shrunk(jpeg, most)) is not None:
        began = time.monotonic()
        if not _refusal(visit, topic, smaller):
            seconds = time.monotonic() - began
            _refusal(visit, topic, visit.retained.get(topic, b""))  # subscribers show the image that they had
            return ImageProof(len(jpeg), len(smaller), seconds)
        most //= 2
    return ImageProof(len(jpeg), 0, 0.0)


def _messages(prefix: str, node: str, cameras: Sequence[str]) -> dict[str, bytes]:
    """A message without effect for each topic except events and images."""
    now = round(time.time(), 3)
    score = json.dumps({"score": 0.0, "threshold": 1.0, "time": now, "window": 0, "test": True})
    site = SITE | {"stats": json.dumps({"time": now, "test": True}), "mode/set": CHECK}
    texts = {f"{prefix}/{name}": payload for name, payload in site.items()}
    for camera in cameras:
        each = CAMERA | {"score": score} | {f"{word}/set": CHECK for word in WORDS}
        texts |= {f"{prefix}/{camera}/{name}": payload for name, payload in each.items()}
        texts[discovery_topic(node, camera)] = ""
    return {topic: text.encode() for topic, text in texts.items()}


def _test_event(camera: str) -> list[EventMessage]:
    now = time.time()
    event = Event.begun(camera, now, (1.0, 1.0), ModelName("check", "", "none"), test=True)
    moment = Moment(0.0, 0.0, 0, now)
    return [event.new(moment), event.end(moment, now, "test")]


def _publish(visit: BrokerVisit, payloads: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """Publish everything and wait until it comes back. Returns the refused topics, each with the reason.

    If the broker drops the connection, the rest is published one by one.
    """
    sent = [(topic, payload, visit.connection.publish(topic, payload)) for topic, payload in payloads]

    def done() -> bool:
        complete = all(each.acknowledged and visit.received(topic, payload) for topic, payload, each in sent)
        return complete or visit.connection.over or visit.quiet_for > _PATIENCE

    visit.wait(done, ANSWERED_WITHIN + 0.1 * len(payloads))
    refused = {t: why for t, _, each in sent if each.acknowledged and (why := visit.connection.refusal_of(each))}
    if visit.connection.over:
        visit.reopen()
        for topic, payload, each in sent:
            if not each.acknowledged and (reason := _refusal(visit, topic, payload)):
                refused[topic] = reason
    return refused


def _refusal(visit: BrokerVisit, topic: str, payload: bytes) -> str:
    """Publish one message. Returns why the broker refused it, or ""."""
    connection = visit.connection
    sent = connection.publish(topic, payload)
    visit.wait(lambda: sent.acknowledged or connection.over, ANSWERED_WITHIN + len(payload) / _SLOWEST)
    if connection.over:
        visit.reopen()
        return DROPPED
    return connection.refusal_of(sent) if sent.acknowledged else "no acknowledgement in time"
