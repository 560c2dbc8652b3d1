"""Fixtures of all tests. Tests do not write to the user's cache, except for weights, bundles and
which kernels are fastest."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# read when PyTorch and NumPy are imported, also by child processes: threads that spin take the core of other workers
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # until all is imported and collected; that stays, and is not walked through again and again

import hypothesis
import torch

from mgfn.backbones import BACKBONES
from mgfn.backbones.i3d import I3D
from mgfn.weights import WeightsError
from stream.base.log import standard_error
from stream.settings.bundle import cached_bundle
from tests import built_once
from tests.servers.chromium import chromium
from tests.servers.mosquitto import Mosquitto

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# background jobs of a shell ignore Ctrl-C, and so would the commands that tests start and stop
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("tests", deadline=None)  # on a busy machine, an example may take long
hypothesis.settings.load_profile("tests")

torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


# The files of the slow tier that take longest, so that no worker is left alone with one of them at the end. The first
# one builds the default bundle: others that need it come late enough not to wait for it.
LONGEST = (
    "test_default_bundle.py", "test_live_decoder.py", "test_batch_work.py", "test_page.py", "test_hanging_disk.py",
    "test_install.py", "test_service.py", "export/test_video_swin.py", "test_published_features.py", "test_wizard.py",
    "test_alarm_path.py", "test_drawing.py", "test_every_route.py", "lookback/test_budget.py", "test_self_test.py",
    "test_explained_alarms.py", "export/test_bench.py", "test_kill_drills.py", "mgfn/test_train.py", "test_int8.py",
    "mgfn/test_network.py", "test_alarm_desk.py", "test_calibrated_service.py", "test_canary.py", "test_overload.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of LONGEST come first, in that order."""
    places = {path: _place(path) for path in {item.path for item in items}}
    items.sort(key=lambda item: places[item.path])


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def _place(path: Path) -> int:
    return next((place for place, name in enumerate(LONGEST) if path.match(name)), len(LONGEST))


@pytest.fixture(autouse=True)
def each_test_leaves_the_handlers_of_signals_as_they_were() -> Iterator[None]:
    """A command that a test runs in its own process installs handlers, and some end the process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def each_test_captures_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that runs in the tests' own process must not hand the log of all later tests to a thread."""
    monkeypatch.setattr(standard_error, "use_thread", lambda: None)


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    """A bundle of tiny models, in every form."""
    return built_once.tiny()


@pytest.fixture(scope="session")
def field_bundle() -> Path:
    """A bundle of tiny models with all that the default one has beside networks, in every form."""
    return built_once.field()


@pytest.fixture(scope="session")
def default_bundle(kinetics_i3d: I3D) -> Path:
    """The bundle that ships, in the user's cache; the first worker builds it as `mgfn-stream` does on first use."""
    built_once.KEPT.mkdir(parents=True, exist_ok=True)
    with (built_once.KEPT / "default.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return cached_bundle()


@pytest.fixture(scope="session")
def kinetics_i3d() -> I3D:
    """I3D with the published weights; downloaded once and cached."""
    try:
        model = BACKBONES["i3d"].load(None)
    except WeightsError as error:
        pytest.skip(f"needs the published I3D weights: {error}")
    assert isinstance(model, I3D)
    return model


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """`../shared/data` beside the project."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data beside the project")
    return folder


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running Mosquitto without access control."""
    (tmp_path / "mosquitto").mkdir()
    with Mosquitto(tmp_path / "mosquitto").running() as broker:
        yield broker


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium; open a page of it with `browser.new_page()`."""
    with chromium() as running:
        yield running
