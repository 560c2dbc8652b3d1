"""TensorRT plans: which one fits, and what is said where none does. No TensorRT is needed for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.backends import plans
from engine.backends.plans import Target, plan_of, profiles
from engine.bundle import Bundle
from engine.errors import BackendError
from tests.bundles import copy_bundle

HERE = Target("sm90", "11.4.0.106")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(plans, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def float32_with_plan(bundle: Path, target: Path, plan: str) -> Bundle:
    return Bundle.open(copy_bundle(bundle, target, float32_alone=True, **{plan: b"a plan"}))


def test_a_plan_is_named_by_gpu_and_version() -> None:
    assert HERE.plan_name("backbone") == "backbone.sm90.trt11.4.0.106.plan"


def test_profiles_cover_every_batch_and_window(tiny_bundle: Path) -> None:
    manifest = Bundle.open(tiny_bundle).manifest
    assert [p[2] for p in profiles("backbone", manifest)] == [(n, 16, 224, 224, 3) for n in (1, 8, 32)]
    assert profiles("head", manifest)[1] == ((8, 1, 1, 64), (8, 32, 1, 64), (8, 32, 1, 64))


def test_the_bundles_own_plan(tmp_path: Path, tiny_bundle: Path, cache: Path) -> None:
    bundle = float32_with_plan(tiny_bundle, tmp_path / "b", HERE.plan_name("backbone"))
    assert plan_of(bundle, "backbone", HERE) == bundle.path / "backbone.sm90.trt11.4.0.106.plan"
    assert not cache.exists()


@pytest.mark.parametrize("other", [Target("sm86", HERE.version), Target("sm90", "10.9.0.34")])
def test_a_plan_of_another_gpu_or_version_without_a_graph(
    tmp_path: Path, tiny_bundle: Path, cache: Path, other: Target
) -> None:
    bundle = float32_with_plan(tiny_bundle, tmp_path / "b", other.plan_name("backbone"))
    says = rf"holds {other.plan_name('backbone')}, but this machine needs backbone\.sm90\.trt11\.4\.0\.106\.plan"
    with pytest.raises(BackendError, match=says):
        plan_of(bundle, "backbone", HERE)


def test_no_plan_at_all(tmp_path: Path, tiny_bundle: Path, cache: Path) -> None:
    plain = copy_bundle(tiny_bundle, tmp_path / "b", float32_alone=True)
    with pytest.raises(BackendError, match=r"holds no TensorRT plan, .*export it again here: mgfn-export --trt"):
        plan_of(Bundle.open(plain), "backbone", HERE)


def test_another_plan_is_built_once_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tiny_bundle: Path, cache: Path
) -> None:
    built: list[Path] = []

    def build(graph: Path, plan: Path, _profiles: object, target: Target) -> None:
        assert (graph.name, target) == ("backbone-fp16.onnx", HERE)
        plan.parent.mkdir(parents=True)
        plan.write_bytes(b"a plan")
        built.append(plan)

    monkeypatch.setattr(plans, "build_plan", build)
    bundle = Bundle.open(tiny_bundle)
    first = plan_of(bundle, "backbone", HERE)
    assert plan_of(bundle, "backbone", HERE) == first
    assert built == [first]
    assert first.is_relative_to(cache)
    assert "once, takes minutes): the bundle contains none" in caplog.text
