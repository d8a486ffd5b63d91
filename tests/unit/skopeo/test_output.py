"""The lines of skopeo's output: the message of an error, and secrets in URLs."""

from __future__ import annotations

import pytest

from registry_sync.oci.reference import Digest
from registry_sync.skopeo.output import last_words, redact

BLOB = Digest.of(b"blob")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['time="t" level=fatal msg=EOF'], "EOF"),
        (['time="t" level=warning msg="retrying"', 'time="t" level=error msg="a \\"b\\" c"', "later"], 'a "b" c'),
        (['time="t" level=error msg="first"', 'time="t" level=fatal msg="last" error="other"'], "last"),
        (['time="t" level=fatal msg="one\\n\\ttwo\\\\three"'], "one two\\three"),
        (["panic: runtime error", ""], "panic: runtime error"),
        (['time="t" level=fatal msg="' + "x" * 5000 + '"'], "x" * 599 + "…"),
        ([f'time="t" level=fatal msg="reading {BLOB}"'], f"reading {BLOB.short}"),
        ([], ""),
    ],
)
def test_the_last_logged_error_is_found(lines: list[str], words: str) -> None:
    assert last_words(lines) == words


@pytest.mark.parametrize(
    ("line", "redacted"),
    [
        ("Copying blob sha256:0", "Copying blob sha256:0"),
        ('Get "https://cdn.example/b?X-Amz-Signature=abc&x=1": EOF', 'Get "https://cdn.example/b?…": EOF'),
        (r'msg="Get \"https://cdn.example/b?sig=a%2Fb\": EOF"', r'msg="Get \"https://cdn.example/b?…\": EOF"'),
        ("to https://r.example/1?_state=abc: denied", "to https://r.example/1?…: denied"),
        ('"https://s.example/b?se=2026-01-01T00:00:00Z&sig=abc": EOF', '"https://s.example/b?…": EOF'),
        ("at https://r.example/1?_state=abc", "at https://r.example/1?…"),
        ('"http://robot:hunter2@proxy.example:3128": EOF', '"http://…@proxy.example:3128": EOF'),
        ("docker://quay.io/a/b@sha256:0: why?", "docker://quay.io/a/b@sha256:0: why?"),
    ],
)
def test_secrets_in_urls_are_redacted(line: str, redacted: str) -> None:
    assert redact(line) == redacted
    assert redact(redacted) == redacted
