"""Write a message about a mirror: subject, plain text and HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from registry_sync.config.notify import Event
from registry_sync.state.messages.alerts import Alert, AlertKind, minute
from registry_sync.state.messages.notices import Notice
from registry_sync.state.messages.subject import Subject
from registry_sync.text import one_line

MAX_SHOWN = 10
"""Maximum number of alerts of each kind that a message shows. It has the number of all."""

MAX_REASON = 1000
"""Characters of a reason in a message."""

Severity = Literal["error", "warning", "info"]

_SEVERITIES: dict[Event, Severity] = {"failed": "error", "stale": "warning", "recovered": "info"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message, ready to be sent. Templates of the mirrors file use these names, such as ``registry_sync.subject``.

    :ivar about: the subject of the message: the mirror's name, ``mirrors file`` or ``nodes POOL``.
    :ivar mirror: empty when the message is not about a mirror.
    :ivar owner: the mirror's ``owner:``, such as a team; empty without one.
    :ivar severity: for services that want one: ``error``, ``warning`` or ``info``.
    """

    about: str
    mirror: str = ""
    owner: str = ""
    event: Event
    severity: Severity
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link below a message."""

    title: str
    url: str


def write_message(subject: Subject, notice: Notice, links: Sequence[Link], owner: str = "") -> Message:
    """The message of a notice."""
    name = subject.name
    sections = list(_sections(notice))
    opening = _opening(f"{name} of {one_line(owner)}" if owner else name, notice)
    return Message(
        about=subject.key,
        mirror=subject.mirror,
        owner=owner,
        event=notice.event,
        severity=_SEVERITIES[notice.event],
        subject=_subject(name, notice),
        text=_text(opening, sections, links),
        html=_html(opening, sections, links),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    heading: str
    alerts: tuple[Alert, ...]
    hidden: int


def _subject(name: str, notice: Notice) -> str:
    still = "still " if notice.is_repeated else ""
    failed, stale = _count(notice, "failed"), _count(notice, "stale")
    start = name[0].upper() + name[1:]
    match notice.event:
        case "recovered":
            return f"{start} recovered"
        case "failed":
            also = f", {stale} behind the promise" if stale else ""
            return f"{start} {still}fails: {failed} {_plural(failed, 'problem')}{also}"
        case "stale":
            also = f", {failed} {_plural(failed, 'problem')}" if failed else ""
            return f"{start} is {still}stale: {stale} {_plural(stale, 'route')} behind the promise{also}"


def _opening(name: str, notice: Notice) -> str:
    """The first sentence of the body."""
    if notice.resolved is not None:
        sent = f", of {minute(notice.resolved.at)}," if notice.resolved.at else ""
        return f"No problem is left in {name}. The last message{sent} had {notice.resolved.count}."
    if notice.is_repeated:
        return f"Nothing has changed in {name} since the last message."
    others = _count(notice, "failed") + _count(notice, "stale") - notice.new
    also = f"; {others} others were reported before and last" if others else ""
    return f"New in {name}: {notice.new} {_plural(notice.new, 'problem')}{also}."


def _sections(notice: Notice) -> Iterator[_Section]:
    for kind, heading in (("failed", "Failing"), ("stale", "Behind the promise (fresh_within)")):
        alerts = tuple(alert for alert in notice.alerts if alert.kind == kind)
        if alerts:
            shown = alerts[:MAX_SHOWN]
            total = sum(alert.count for alert in alerts)
            hidden = total - sum(alert.count for alert in shown)
            yield _Section(heading=f"{heading}: {total}", alerts=shown, hidden=hidden)


def _count(notice: Notice, kind: AlertKind) -> int:
    return sum(alert.count for alert in notice.alerts if alert.kind == kind)


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


def _details(alert: Alert) -> str:
    """The second line of an alert: its age."""
    tries = f", failed in {alert.tries} {_plural(alert.tries, 'run')}" if alert.tries else ""
    return f"since {minute(alert.since)}{tries}"


def _reason(alert: Alert) -> str:
    return one_line(alert.reason, MAX_REASON)


def _text(opening: str, sections: Sequence[_Section], links: Sequence[Link]) -> str:
    lines = [opening]
    for section in sections:
        lines += ["", section.heading]
        for alert in section.alerts:
            lines += ["", f"{alert.place}: {_reason(alert)}", f"  {_details(alert)}"]
        lines += ["", f"and {section.hidden} more"] if section.hidden else []
    lines += ["", *(f"{link.title}: {link.url}" for link in links)] if links else []
    return "\n".join(lines)


def _html(opening: str, sections: Sequence[_Section], links: Sequence[Link]) -> str:
    parts = [f"<p>{escape(opening)}</p>"]
    for section in sections:
        parts += [f"<h3>{escape(section.heading)}</h3>", "<ul>"]
        parts += [
            f"<li><b>{place}</b>: {reason}<br><small>{details}</small></li>"
            for place, reason, details in (
                map(escape, (alert.place, _reason(alert), _details(alert))) for alert in section.alerts
            )
        ]
        parts += ["</ul>", *([f"<p>and {section.hidden} more</p>"] if section.hidden else [])]
    if links:
        anchors = (f'<a href="{escape(link.url)}">{escape(link.title)}</a>' for link in links)
        parts.append(f"<p>{' · '.join(anchors)}</p>")
    return "\n".join(parts)
