"""What `--shard` and `--label` take."""

from __future__ import annotations

import pytest

from stream.base.errors import UsageError
from stream.cluster.joining import shard


def test_shards_know_each_other() -> None:
    member = shard("2/3", "hall", ["yard", "site=north"])
    assert member.worker == "shard-2-of-3"
    assert member.expected == ("shard-1-of-3", "shard-2-of-3", "shard-3-of-3")
    assert member.labels == ("yard", "site=north")


@pytest.mark.parametrize("text", ["3/2", "0/2", "1/0", "1", "a/b", "1/1001", "-1/2", "1/2/3", ""])
def test_a_wrong_shard_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=f"^--shard {text}: must be K/N with 1 <= K <= N <= 1000"):
        shard(text, "hall", [])


def test_a_wrong_label_is_named() -> None:
    with pytest.raises(UsageError, match=r"^--label 'a b': must be a word"):
        shard("1/2", "hall", ["a b"])
