"""How long the broker keeps the image of a camera's last alarm, whoever published it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from stream.sinks.mqtt import MqttSink
from stream.watch.retained_pictures import RetainedPictures

OLD, NEW = "1000.00-abcdef", "2000.00-abcdef"


class Sink:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes]] = []

    def camera_snapshot(self, camera: str, jpeg: bytes) -> None:
        self.said.append((camera, jpeg))


def pictures(folder: Path) -> tuple[RetainedPictures, Sink]:
    sink = Sink()
    for event_id in (OLD, NEW):
        (folder / f"{event_id}.jpg").write_bytes(event_id.encode())
    found = RetainedPictures(cast(MqttSink, sink), folder)
    found.add("door")
    return found, sink


def test_an_image_of_another_instance_goes_when_it_is_old(tmp_path: Path) -> None:
    found, sink = pictures(tmp_path)
    found.adopt("door", 1000.0)
    found.adopt("yard", 1000.0)  # not ours
    assert (found.taken("door"), found.taken("yard")) == (1000.0, None)
    found.empty_older("door", 1000.0)
    found.empty_older("yard", 1001.0)
    assert sink.said == []
    found.empty_older("door", 1001.0)
    found.empty_older("door", 1001.0)
    assert sink.said == [("door", b"")]
    assert found.taken("door") is None


def test_our_own_later_image_replaces_it_and_goes_with_its_file(tmp_path: Path) -> None:
    found, sink = pictures(tmp_path)
    found.adopt("door", 1000.0)
    found.show("door", NEW)
    found.empty_older("door", 1500.0)
    found.expired(OLD, "snapshot")
    assert found.taken("door") == 2000.0
    found.expired(NEW, "snapshot")
    found.empty_older("door", 9999.0)
    assert sink.said == [("door", NEW.encode()), ("door", b"")]


def test_whoever_gives_a_camera_away_empties_nothing(tmp_path: Path) -> None:
    found, sink = pictures(tmp_path)
    found.show("door", OLD)
    found.remove("door")
    found.empty_older("door", 9999.0)
    found.expired(OLD, "snapshot")
    assert [jpeg for _, jpeg in sink.said] == [OLD.encode()]
