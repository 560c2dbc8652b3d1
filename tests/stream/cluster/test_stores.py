"""Both stores keep what `LeaseStore` promises, on a real folder and a real broker."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stream.base.addresses import parse_broker
from stream.base.errors import UsageError
from stream.base.ownership import SITE
from stream.cluster.broker import BrokerStore
from stream.cluster.folder import FolderStore
from stream.cluster.records import Beat, LeaseStore, Record, StoreError
from stream.sinks.mqtt_client import TlsFiles
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import free_port, until

MakeStore = Callable[[], LeaseStore]


@pytest.fixture(params=["folder", pytest.param("broker", marks=pytest.mark.slow)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """Opens the store once more, as another instance does."""
    if request.param == "folder":
        yield lambda: FolderStore(tmp_path)
        return
    opened: list[BrokerStore] = []
    with Mosquitto(tmp_path).running() as broker:

        def connected() -> LeaseStore:
            opened.append(BrokerStore(parse_broker(broker.url), "mgfn", "node", TlsFiles()))
            return opened[-1]

        yield connected
        for store in opened:
            store.close()


def beat(session: str, number: int = 1) -> Beat:
    return Beat(f"w-{session}", session, number, labels=("yard",), ready=("door",))


def test_a_beat_of_a_later_version_is_understood() -> None:
    later = {**beat("x").as_json(), "page": "http://hall:8080"}
    assert Beat.from_json(later) == beat("x")
    wrong: Any
    for wrong in ([], "x", None, {"worker": "x"}, {**later, "capacity": 0}):
        with pytest.raises(ValueError, match="not a"):
            Beat.from_json(wrong)


def test_what_one_claims_the_other_sees(make: MakeStore) -> None:
    x, y = make(), make()
    x.exchange(beat("x"))
    x.claim("door", Record(1, "x", "w-x"))
    x.claim(SITE, Record(1, "x", "w-x"))
    x.claim("@w-x", Record(1, "x", "w-x"))
    x.exchange(beat("x", 2))
    found = y.exchange(beat("y"))
    assert found.records == {key: Record(1, "x", "w-x") for key in ("door", SITE, "@w-x")}
    assert found.beats == {"x": beat("x", 2), "y": beat("y")}


def test_of_many_claims_at_once_one_takes_effect(make: MakeStore) -> None:
    stores = {f"s{number}": make() for number in range(6)}
    for session, store in stores.items():
        store.exchange(beat(session))
    ready = threading.Barrier(len(stores))
    found: dict[str, Record] = {}

    def claim(session: str, store: LeaseStore) -> None:
        ready.wait()
        store.claim("door", Record(1, session, session))
        found[session] = store.exchange(beat(session, 2)).records["door"]

    threads = [threading.Thread(target=claim, args=each) for each in stores.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 6
    assert len(set(found.values())) == 1
    late = make()  # reads what is kept, not what came last
    until(lambda: late.exchange(beat("late")).records["door"] == found["s0"], 10, "the lease that took effect")


def test_a_stale_claim_has_no_effect(make: MakeStore) -> None:
    store = make()
    store.exchange(beat("x"))
    for fence in range(1, 6):
        store.claim("door", Record(fence, f"s{fence}"))
    store.claim("door", Record(2, "stale"))
    assert store.exchange(beat("x", 2)).records["door"] == Record(5, "s5")


def test_checkpoints_drains_and_what_is_over(make: MakeStore) -> None:
    x, y = make(), make()
    x.exchange(beat("x"))
    x.save("door", b"first")
    x.save("door", b"second")
    x.exchange(beat("x", 2))
    y.exchange(beat("y"))
    assert y.load(["door", "yard"]) == {"door": b"second"}
    x.save("door", b"")
    x.exchange(beat("x", 3))
    assert y.load(["door"]) == {}
    y.drain("x")
    y.exchange(beat("y", 2))
    assert x.exchange(beat("x", 4)).drained == {"x"}
    y.forget("x")
    found = y.exchange(beat("y", 3))
    assert found.beats.keys() == {"y"}
    assert not found.drained


def test_what_was_written_just_before_the_end_is_kept(make: MakeStore) -> None:
    x, y = make(), make()
    x.exchange(beat("x"))
    for number in range(200):
        x.claim(f"c{number}", Record(1, "x", "w-x"))
        x.save(f"c{number}", b"kept" * 100)
    x.close()
    until(lambda: len(y.exchange(beat("y")).records) == 200, 60, "all leases")
    assert len(y.load([f"c{number}" for number in range(200)])) == 200


@pytest.mark.slow
def test_a_broker_that_reads_late_keeps_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.cluster.broker._ACCEPTED_WITHIN", 30)
    with Mosquitto(tmp_path).running() as broker:
        x, y = (BrokerStore(parse_broker(broker.url), "mgfn", "node", TlsFiles()) for _ in "xy")
        y.exchange(beat("y"))
        x.exchange(beat("x"))
        assert broker.process is not None
        broker.process.send_signal(signal.SIGSTOP)
        for number in range(200):
            x.claim(f"c{number}", Record(1, "x", "w-x"))
            x.save(f"c{number}", b"kept" * 100)
        closing = threading.Thread(target=x.close)
        closing.start()
        until(lambda: not x._client.want_write() or not closing.is_alive())
        closing.join(0.5)  # time enough for a disconnection that waits for nothing
        broker.process.send_signal(signal.SIGCONT)
        closing.join()
        until(lambda: len(y.exchange(beat("y", 2)).records) == 200, 20, "all leases")
        y.close()


def test_a_look_leaves_nothing_behind(make: MakeStore) -> None:
    x, visitor = make(), make()
    x.exchange(beat("x"))
    assert "x" in visitor.look().beats
    until(lambda: x.exchange(beat("x", 2)).beats.keys() == {"x"}, 10, "the visitor gone")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=f"--leases {tmp_path}/file: cannot be written"):
        FolderStore(tmp_path / "file")


def test_a_folder_that_goes_away_is_an_error_of_the_store(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "leases")
    (tmp_path / "leases").rename(tmp_path / "gone")
    with pytest.raises(StoreError, match="No such file"):
        store.exchange(beat("x"))


@pytest.mark.slow
def test_a_broker_that_refuses_the_password_is_not_away(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, "right").running() as broker:
        wrong = broker.url.replace("mqtt://", "mqtt://mgfn:wr0ng@")
        store = BrokerStore(parse_broker(wrong), "mgfn", "node", TlsFiles())
        with pytest.raises(StoreError, match="refuses the connection: ") as raised:
            store.exchange(beat("x"))
        assert "wr0ng" not in str(raised.value)
        store.close()


@pytest.mark.slow
def test_a_broker_that_is_away_is_an_error_of_the_store() -> None:
    store = BrokerStore(parse_broker(f"mqtt://127.0.0.1:{free_port()}"), "mgfn", "node", TlsFiles())
    with pytest.raises(StoreError, match="cannot be reached"):
        store.exchange(beat("x"))
    store.close()


def test_a_damaged_lease_in_a_folder_belongs_to_nobody_that_beats(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for fence in (1, 2):
        store.claim("door", Record(fence, "x", "w-x"))
    (tmp_path / "lease" / "door" / "2").write_bytes(b"")
    found = store.exchange(beat("y")).records["door"]
    assert found.fence == 2
    assert found.session not in {"", "x", "y"}
    store.claim("door", Record(3, "y", "w-y"))
    assert store.exchange(beat("y", 2)).records["door"] == Record(3, "y", "w-y")


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)

    def full(path: Path, _content: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left"):
        store.claim("door", Record(1, "x", "w-x"))
    assert not list((tmp_path / "lease" / "door").iterdir())
