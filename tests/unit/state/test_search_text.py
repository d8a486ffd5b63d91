"""Parsing the text of a search."""

from __future__ import annotations

import pytest

from registry_sync.errors import ConfigurationError
from registry_sync.state.lookup.search_text import Search, parse_search

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("hyperkube", Search(name="hyperkube")),
        (" hyperkube ", Search(name="hyperkube")),
        ("Giantswarm/Hyperkube", Search(name="giantswarm/hyperkube")),
        ("hyperkube:v1.31", Search(name="hyperkube", tag="v1.31")),
        ("hyperkube:V1", Search(name="hyperkube", tag="V1")),
        (":v1.31", Search(tag="v1.31")),
        ("quay.io/team/app:v1", Search(name="quay.io/team/app", tag="v1")),
        ("harbor.example:8443/team/app", Search(name="harbor.example:8443/team/app")),
        ("harbor.example:8443/team/app:v1", Search(name="harbor.example:8443/team/app", tag="v1")),
        ("index.docker.io/library/alpine", Search(name="docker.io/library/alpine")),
        ("docker://quay.io/team/app:v1", Search(name="quay.io/team/app", tag="v1")),
        ("https://quay.io/team/app/", Search(name="quay.io/team/app")),
        (f"sha256:{HEX}", Search(digest=HEX)),
        ("sha256:0123ab", Search(digest="0123ab")),
        ("sha512:0123ab", Search(digest="0123ab")),
        (f"team/app@sha256:{HEX}", Search(name="team/app", digest=HEX)),
        ("team/app:v1@sha256:0123ab", Search(name="team/app", tag="v1", digest="0123ab")),
        ("team/app@0123ab", Search(name="team/app", digest="0123ab")),
        ("@0123ab", Search(digest="0123ab")),
        ("0123ab", Search(name="0123ab", digest="0123ab", is_digest_or_name=True)),
        ("01234", Search(name="01234")),
        ("facade", Search(name="facade", digest="facade", is_digest_or_name=True)),
        ("%_", Search(name="%_")),
    ],
)
def test_a_search_is_parsed(text: str, search: Search) -> None:
    assert parse_search(text) == search


EMPTY = "nothing to search for; write part of a name, NAME:TAG, or a digest"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", EMPTY),
        ("  ", EMPTY),
        ("https://", EMPTY),
        ("two words", "a search with white space in it matches nothing; write part of a name, NAME:TAG, or a digest"),
        ("a" * 601, "a search longer than 600 characters matches nothing; write part of a name, NAME:TAG, or a digest"),
        (
            "sha256:01234",
            "'sha256:01234' is not the beginning of a digest; write 6 of its digits or more, such as sha256:0123ab",
        ),
        ("sha256:", "'sha256:' is not the beginning of a digest; write 6 of its digits or more, such as sha256:0123ab"),
        ("app@", "'' is not the beginning of a digest; write 6 of its digits or more, such as sha256:0123ab"),
        (
            "app@v1.31.4",
            "'v1.31.4' is not the beginning of a digest; write 6 of its digits or more, such as sha256:0123ab",
        ),
    ],
)
def test_what_matches_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_search(text)
    assert str(raised.value) == message
