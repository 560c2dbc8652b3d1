from __future__ import annotations

from pathlib import Path

import pytest

from configs.text import EncodingError, decode, read_text


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa.npy\r\nb.npy\n")
    assert read_text(tmp_path / "a").splitlines() == ["a.npy", "b.npy"]
    assert decode("ü".encode()) == "ü"
    assert decode(b"") == decode(b"\xef\xbb\xbf") == ""


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_are_named(encoding: str) -> None:
    with pytest.raises(EncodingError, match=f"is {encoding.upper()} text; save it as UTF-8"):
        decode("a.npy\n".encode(encoding))


def test_what_is_no_text() -> None:
    with pytest.raises(EncodingError, match="is not UTF-8 text"):
        decode(b"\x93NUMPY\x01")
