"""The decision about one request: accepted with the pushes that its body names, or refused."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from registry_sync.events.proofs import Proof, find_proof
from registry_sync.events.reported import Reported
from registry_sync.events.senders.generic import find_mistake, is_generic, is_meant
from registry_sync.events.senders.table import GENERIC, PUSH_SERVICES, sender_of
from registry_sync.events.strict_json import BadJson, read_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A request that is not genuine (401), not readable (400) or has a mistake (422), with a text for the response."""

    status: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose address is known.

    :ivar headers: lines with names in lower case.
    """

    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


def not_genuine(kind: str) -> Refused:
    """The refusal of a request without a valid proof, with the other way for services that cannot send ours.

    Pub/Sub sends a token that only Google's keys can prove, SNS and Event Grid want an answer to a handshake first.

    >>> not_genuine("google").message
    'the request does not prove that it is genuine; if Google Pub/Sub sent it, read its messages by events: {queue: …}'
    """
    service = PUSH_SERVICES.get(kind)
    other_way = f"; if {service} sent it, read its messages by events: {{queue: …}}" if service else ""
    return Refused(status=401, message=f"the request does not prove that it is genuine{other_way}")


def read_request(request: Request, *, kind: str, host: str, secret: str) -> Reported | Refused:
    """Read a request to the address of a registry of a kind.

    The body is read as that of the kind's sender, or as the generic one, which needs a proof at every address.
    """
    proof = find_proof(request.headers, request.body, secret)
    sender = sender_of(kind)
    if proof is Proof.WRONG or (proof is Proof.NONE and sender.proves):
        return not_genuine(kind)
    try:
        document = read_object(_json_of(request))
    except BadJson as error:
        return Refused(status=400, message=str(error))
    return _read(document, kind, host, secret, proven=proof is Proof.VALID)


def _read(document: Mapping[str, Any], kind: str, host: str, secret: str, *, proven: bool) -> Reported | Refused:
    """Read a body whose headers prove it. Of a sender without such headers, a token in the body must be right."""
    sender = sender_of(kind)
    generic = {key: value for key, value in document.items() if key != "token"}
    if proven and (sender is GENERIC or is_meant(generic)) and (mistake := find_mistake(generic, host)):
        return Refused(status=422, message=mistake)
    token = document.get("token")
    if "token" in document and not proven:
        proven = isinstance(token, str) and hmac.compare_digest(token.encode("utf-8", "replace"), secret.encode())
        if not proven:
            return not_genuine(kind)
    if is_generic(generic):
        return GENERIC.read(document, host) if proven else not_genuine(kind)
    return sender.read(document, host)


def _json_of(request: Request) -> bytes:
    """The JSON of a body. GitHub sends it as the field ``payload`` of a form unless told otherwise.

    The Content-Type is not checked, because ``curl -d`` sends that of a form with every body.
    """
    if not request.body.startswith(b"payload="):
        return request.body
    try:
        fields = parse_qs(request.body.decode("ascii"), strict_parsing=True, max_num_fields=10)
    except ValueError as error:
        raise BadJson("the body is not a form") from error
    return fields.get("payload", [""])[0].encode("utf-8", "replace")
