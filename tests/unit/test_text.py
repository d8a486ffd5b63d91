"""Text from outside, made fit for logs and terminals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import RefusedError, TemporaryError
from registry_sync.text import LONGEST_LINE, LONGEST_TEXT, harmless, one_line, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("v1.2.3", "v1.2.3"),
        ("grün → 蓝", "grün → 蓝"),
        ("a\nb\r\nc\td", "a b c d"),
        ("a\u2028b\x85c", "a b c"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("gpj.exe\u202egnp", "gpj.exe\\u202egnp"),
        ("a\u2066b\u200bc\ufeff", "a\\u2066b\\u200bc\\ufeff"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("\ud800", "\\ud800"),
        ("<script>alert(1)</script>|`$(id)`", "<script>alert(1)</script>|`$(id)`"),
    ],
)
def test_one_line_escapes_control_characters(text: str, shown: str) -> None:
    """Characters that are dangerous in HTML, Markdown or a shell are harmless in a log, and escaped elsewhere."""
    assert one_line(text) == shown


def test_a_long_line_is_cut() -> None:
    assert one_line("a" * 10_000_000, 20) == "a" * 19 + "…"
    assert one_line(" " * 10_000_000 + "a", 20) == "…"
    assert len(one_line("\x1b" * 100, 20)) == 20


@given(st.text())
def test_one_line_is_printable_and_changes_no_more(text: str) -> None:
    shown = one_line(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50
    assert one_line(shown, 50) == shown


@given(st.text())
def test_a_message_keeps_its_lines(text: str) -> None:
    shown = harmless(text)
    assert all(part.isprintable() for part in shown.split("\n"))
    assert shown.count("\n") == text.count("\n")
    assert harmless(shown) == shown


def test_a_long_message_is_cut() -> None:
    assert harmless("a" * (LONGEST_LINE + 1)) == "a" * LONGEST_LINE + "…"
    kept = "a\n" * (LONGEST_TEXT // 2)
    assert harmless("a\n" * LONGEST_TEXT) == f"{kept}\n… and {LONGEST_TEXT} characters more"


@pytest.mark.parametrize("error", [RefusedError, TemporaryError])
def test_every_error_is_made_harmless(error: type[RefusedError]) -> None:
    assert str(error("tag \x1b[31mred")) == "tag \\x1b[31mred"
    assert len(str(error("x" * 10_000_000))) < LONGEST_TEXT


JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtaXJyb3IifQ.c2lnbmF0dXJlLW9mLWl0"
TOKENS = ("0123456789abcdef", "ya29.a0AfB_byC1", "AQoDYXdzEJr//1234567890==", JWT)


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    "form",
    [
        "Authorization: Bearer {}",
        "authorization: bearer {}",
        "map[Authorization:[Bearer {}] Accept:[application/json]]",
        'time="…" level=fatal msg="denied: \\"Authorization\\": \\"Bearer {}\\""',
        "Proxy-Authorization: Basic {}",
        "the request had Bearer {} and was refused",
        "GET https://cdn.example/blob?X-Amz-Signature={}&X-Amz-Expires=60: 403",
        "https://s.example/b?se=2026-01-01&amp;sig={}&amp;sp=r",
        "https://cdn.example/b?Expires=1&Signature={}&Key-Pair-Id=K1",
        "https://storage.example/b?X-Goog-Signature={}",
        "https://cdn.example/b?x-amz-security-token={}",
        "https://login.example/?next=%2Fblob%3Ftoken%3D{}",
        '{{"token":"{}","expires_in":300}}',
        '{{"access_token": "{}"}}',
        'body: "{{\\"refresh_token\\":\\"{}\\"}}"',
        "grant_type=refresh_token&refresh_token={}",
        "token={}",
    ],
)
def test_tokens_and_signatures_are_masked_by_the_words_before_them(form: str, token: str) -> None:
    text = form.format(token)
    for shown in (without_secrets(text), one_line(text), harmless(f"first\n{text}\nlast"), str(RefusedError(text))):
        assert token[:12] not in shown
        assert "***" in shown
    assert without_secrets(form.format("***")) == form.format("***")


@pytest.mark.parametrize(
    "text",
    [
        'WWW-Authenticate: Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull"',
        "the strongest challenge is Bearer with an https realm, then Basic",
        "authorization: denied, authentication required",
        "unable to retrieve auth token: invalid username/password: unauthorized",
        "the token service grants pull for quay.io/team/app, but not push",
        "token=a1 is short; signature: missing; sig-verify, token-service and my-token=",
        "a tag v1.2.3-token-2026, an image sha256:0123456789abcdef0123456789abcdef",
        'write it as --conn-password "$PASSWORD" or as secret: CONNECTION_ID',
        "eyJ is how tokens begin",
        'curl -H "Authorization: Bearer $SECRET" https://hooks.example/',
    ],
)
def test_other_text_is_kept(text: str) -> None:
    assert (without_secrets(text), one_line(text), harmless(text)) == (text, text, text)


@pytest.mark.parametrize("text", ["\\", "-eyJ", "eyJaaaaaaaaaa.", "bearer ", "authorization\\", "'\"token", "%3dsig"])
def test_hostile_text_is_searched_in_a_time_that_grows_with_its_length(text: str) -> None:
    """With the square of the length, each of these takes minutes."""
    assert without_secrets("=" + text * (LONGEST_TEXT // len(text))).startswith("=")


def test_a_token_at_the_limit_of_a_line_is_masked_before_the_line_is_cut() -> None:
    assert one_line(f"{'a' * 30} Bearer {JWT}", 50) == f"{'a' * 30} Bearer ***"
