"""Specify what each registry server shows in each case, for the tables in ``docs/tried-registries.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from testkit.servers import CRANE, DISTRIBUTION_2, DISTRIBUTION_3, OCISERVER, OCISERVER_TERSE, ServerProgram
from tests.servers import cases
from tests.servers.cases import Case
from tests.servers.place import OK, Place, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Result of a case with one server.

    :ivar words: text of the table: ``ok``, or what happens instead.
    :ivar outcome: outcome of the case.
    :ivar says: part of the message.
    """

    words: str = "ok"
    outcome: str = OK.outcome
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A case of a role, with the cells of the servers where it does not end as usual."""

    role: Role
    words: str
    case: Case
    usual: Cell = Cell()
    others: Mapping[ServerProgram, Cell] = field(default_factory=dict)

    def cell(self, program: ServerProgram) -> Cell:
        return self.others.get(program, self.usual)

    def check(self, program: ServerProgram, place: Place) -> None:
        """Run the case, and compare what was seen with the cell."""
        seen, cell = self.case(place), self.cell(program)
        assert seen.outcome == cell.outcome, seen.message
        assert cell.says in seen.message, seen.message

    def __str__(self) -> str:
        return f"{self.role}: {self.words}"


def _source(words: str, case: Case, usual: Cell = Cell(), others: Mapping[ServerProgram, Cell] = {}) -> Row:
    return Row(role="source", words=words, case=case, usual=usual, others=others)


def _destination(words: str, case: Case, usual: Cell = Cell(), others: Mapping[ServerProgram, Cell] = {}) -> Row:
    return Row(role="destination", words=words, case=case, usual=usual, others=others)


_NO_LOGIN = Cell(words="has no log-ins", outcome=cases.NO_LOGIN.outcome)
_WITHOUT_LOGIN = {CRANE: _NO_LOGIN, OCISERVER_TERSE: _NO_LOGIN}
_NO_MODE = Cell(words="has no such mode", outcome=cases.NO_MODE.outcome)
_DENIED = Cell(words="fails: denied", outcome="fails: denied")
_ALL_GONE = Cell(words="fails; nothing is deleted", outcome="fails: refused", says="Was the source emptied or replaced")
_FOREIGN_REFUSED = Cell(
    words="fails: the registry must allow the URLs", outcome="fails: refused", says="validation.manifests.urls.allow"
)
_FOREIGN_500 = Cell(words="retried: it answers 500", outcome="fails: temporary", says="500")

SPECIFICATION = (
    _source("1,100 tags of a repository are listed", cases.many_tags),
    _source("130 repositories of a namespace are listed", cases.many_repositories),
    _source("OCI image, index with attestations, chart", cases.oci_images),
    _source("Docker image and manifest list", cases.docker_images),
    _source("a tag moves", cases.moved_tag),
    _source("the second run copies and writes nothing", cases.second_run),
    _source("cosign signature and OCI referrer", cases.artifacts),
    _source("tags `sha256-<own digest>`, as of oc-mirror", cases.digest_tags),
    _source("log-in", cases.copy_with_login, others=_WITHOUT_LOGIN),
    _source("private repositories of a namespace, with a log-in", cases.private_repositories, others=_WITHOUT_LOGIN),
    _source("wrong password", cases.wrong_password, _DENIED, _WITHOUT_LOGIN),
    _source(
        "all tags are gone", cases.all_tags_gone, Cell(words="fails; nothing is deleted", outcome="fails: refused")
    ),
    _destination("OCI image, index with attestations, chart", cases.oci_images),
    _destination("Docker image and manifest list", cases.docker_images),
    _destination("a tag moves, with `backup_tag`", cases.moved_tag_with_backup),
    _destination("the second run copies and writes nothing", cases.second_run),
    _destination("five tags of one image are one transfer", cases.tags_of_one_image),
    _destination("cosign signature and OCI referrer", cases.artifacts),
    _destination("prune a tag", cases.prune),
    _destination(
        "prune one of two tags of an image",
        cases.prune_shared,
        others={
            DISTRIBUTION_2: Cell(
                words="kept: it deletes an image with all its tags",
                outcome="kept",
                says="this registry deletes images only with all their tags",
            )
        },
    ),
    _destination("tags `RC2` and `rc2`", cases.two_cases),
    _destination(
        "foreign layers (Windows)",
        cases.foreign_layers,
        others={
            DISTRIBUTION_2: _FOREIGN_REFUSED,
            DISTRIBUTION_3: _FOREIGN_REFUSED,
            OCISERVER: _FOREIGN_500,
            OCISERVER_TERSE: _FOREIGN_500,
        },
    ),
    _destination("a layer was lost, and its image gets a tag", cases.lost_layer),
    _destination(
        "read-only mode",
        cases.read_only,
        Cell(words="fails: takes no pushes", outcome="fails: refused", says="takes no pushes"),
        {CRANE: _NO_MODE, OCISERVER_TERSE: _NO_MODE},
    ),
    _destination("log-in", cases.copy_with_login, others=_WITHOUT_LOGIN),
    _destination("wrong password", cases.wrong_password, _DENIED, _WITHOUT_LOGIN),
)


def rows_of(role: Role) -> list[Row]:
    """The cases of a role."""
    return [row for row in SPECIFICATION if row.role == role]
