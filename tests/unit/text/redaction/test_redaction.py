"""Redaction as a whole: of lines, of streams, and in errors."""

from __future__ import annotations

import functools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.errors import UsageError
from build_tasks.text import redaction
from build_tasks.text.redaction import LONGEST, StreamFilter, known, redact

SECRET = "hunter2/X+y"  # noqa: S105 - of nothing


def test_long_lines_are_cut_after_redaction() -> None:
    long = f"PASSWORD={SECRET} " + "x" * 3 * LONGEST
    shown = redact(f"short\n{long}\nlast")
    assert len(shown) < LONGEST + 200
    assert shown.startswith("short\nPASSWORD=*** x")
    assert shown.endswith(f"x… ({len(long) - LONGEST} more characters)\nlast")


@given(st.text(max_size=200))
def test_redaction_is_idempotent(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


def test_a_known_value_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.add_secret("a-registry-pw-1")
    assert redact("say a-registry-pw-1") == "say ***"
    monkeypatch.setattr(redaction, "_known_values", functools.cache(known.collect))
    monkeypatch.setenv("MY_TOKEN", "from-environment-2")
    assert redact("say a-registry-pw-1 from-environment-2.") == "say a-registry-pw-1 ***."


@pytest.mark.parametrize(
    "text",
    [
        "machine http://h.example.com:8000 login me password netrc-pw-3",
        "# ours\nmachine http://h.example.com:8000\n  login me\n  password netrc-pw-3\ndefault\n",
    ],
)
def test_the_hosts_of_a_netrc_text_are_shown(text: str) -> None:
    """Regression: the address of a Debian source was hidden, and taken for a password."""
    redaction.add_secret(text)
    told = "E: Failed to fetch http://h.example.com:8000"
    assert redact(told) == told
    assert "netrc-pw-3" not in redact(text)


def test_a_text_that_is_not_only_netrc_is_hidden_as_a_whole() -> None:
    redaction.add_secret("machine h password netrc-pw-4\nanother-value-of-a-team")
    assert redact("is another-value-of-a-team") == "is ***"


def test_errors_are_redacted() -> None:
    assert str(UsageError("--x: 'https://me:pw@host' is wrong")) == (
        "--x: 'https://me:***@host' is wrong"
    )


class TestStream:
    def test_lines_without_a_secret_pass_unchanged(self) -> None:
        data = b"\x1b[2A\x1b[0G\x1b[34m => [2/5] RUN x \xff\xfe  0.1s\x1b[0m\r\n\xc3\xa9\nend"
        filtered = StreamFilter(same_width=True)
        assert (
            b"".join(map(filtered.feed, (data[i : i + 1] for i in range(len(data)))))
            + (filtered.end())
            == data
        )

    def test_a_secret_in_two_chunks_keeps_its_width(self) -> None:
        filtered = StreamFilter(same_width=True)
        shown = filtered.feed(b"=> RUN TOKEN=ab") + filtered.feed(b"c123 && x\x1b[0m\nTOKEN=e")
        assert shown == b"=> RUN TOKEN=****** && x\x1b[0m\n".replace(b"******", b"******")
        assert filtered.end() == b"TOKEN=*"

    def test_an_incomplete_line_is_held_back_briefly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        filtered = StreamFilter(same_width=False)
        assert filtered.feed(b"name? ") == b""
        now[0] += redaction.HOLD
        assert filtered.feed(b"") == b"name? "
        assert filtered.feed(b"y" * (LONGEST + 1)) != b""
