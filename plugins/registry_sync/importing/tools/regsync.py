"""Files of regsync: https://regclient.org/usage/regsync/. Its ``cmd/regsync/config.go`` has all keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from registry_sync.config.reading.yaml_source import Document
from registry_sync.importing.logins import read_login
from registry_sync.importing.model import Entry, Imported, ImportedRegistry, Remark, Value, Wish
from registry_sync.importing.names import parse_place
from registry_sync.importing.reading import NoCounterpart, Section, unread_remarks, whole
from registry_sync.importing.tools.regsync_steps import STEP_DEFAULTS, TEMPLATE, Step

_PROCESS: Mapping[str, str] = dict.fromkeys(
    ("blobLimit", "cacheCount", "cacheTime", "skipDockerConfig", "userAgent"),
    "is a setting of regsync's process and has no counterpart",
)


def read_regsync(documents: tuple[Document, ...], _wish: Wish) -> Imported:
    """Read regsync's files. :raises NoCounterpart: when a file as a whole has another form."""
    entries: list[Entry] = []
    registries: list[ImportedRegistry] = []
    remarks: list[Remark] = []
    options: dict[str, Value] = {}
    for document in documents:
        top = whole(document)
        defaults = top.section("defaults")
        options |= _parallel(defaults, remarks)
        top.text("version")
        registries += _registries(top, remarks)
        for step in top.sections("sync"):
            try:
                entries.append(Step(step, defaults).read())
            except NoCounterpart as error:
                remarks.append(Remark(file=document.name, line=error.line, text=f"{error.text}; the entry is left out"))
        remarks += [*_about_keys(defaults, _PROCESS), *_unread_defaults(defaults), *unread_remarks(top)]
    entries, inherited = _without_inherited(entries)
    remarks += [*inherited, *_about_all(documents[0].name, entries)]
    return Imported(
        tool="regsync",
        files=tuple(document.name for document in documents),
        registries=tuple(registries),
        entries=tuple(entries),
        defaults=tuple(options.items()),
        remarks=tuple(remarks),
    )


def _without_inherited(entries: list[Entry]) -> tuple[list[Entry], list[Remark]]:
    """The entries without the remarks about ``defaults:``, and these remarks, once each."""
    inherited = dict.fromkeys(remark for entry in entries for remark in entry.remarks if _is_inherited(remark))
    kept = [
        replace(entry, remarks=tuple(remark for remark in entry.remarks if not _is_inherited(remark)))
        for entry in entries
    ]
    return kept, list(inherited)


def _is_inherited(remark: Remark) -> bool:
    return remark.text.startswith("defaults.")


def _about_all(file: str, entries: list[Entry]) -> Iterator[Remark]:
    """Remarks that concern many entries, once each."""
    unscheduled = [entry for entry in entries if entry.schedule is None]
    if unscheduled:
        text = "a step without a schedule or interval runs only by hand here; write schedule: at its mirror"
        yield Remark(file=file, line=unscheduled[0].line, text=text, is_lost=False)
    signed = [entry for entry in entries if dict(entry.options).get("signatures") is not False]
    if signed:
        text = (
            "signatures, attestations and SBOMs are copied with each image, also where regsync has no digestTags or "
            "referrers; signatures: false turns that off"
        )
        yield Remark(file=file, line=signed[0].line, text=text, is_lost=False)


def _parallel(defaults: Section, remarks: list[Remark]) -> dict[str, Value]:
    number = defaults.number("parallel")
    if not number or number < 1:
        return {}
    text = "becomes parallel_copies, the images that one task copies at once; Airflow's pools limit the tasks"
    remarks.append(defaults.remark(text, "parallel", is_lost=False))
    return {"parallel_copies": min(int(number), 32)}


def _about_keys(section: Section, texts: Mapping[str, str]) -> Iterator[Remark]:
    """Remarks for keys whose meaning is not lost."""
    return (section.remark(text, key, is_lost=False) for key, text in texts.items() if section.has(key))


def _unread_defaults(defaults: Section) -> tuple[Remark, ...]:
    for key in STEP_DEFAULTS:
        defaults.has(key)
    return unread_remarks(defaults)


def _registries(top: Section, remarks: list[Remark]) -> Iterator[ImportedRegistry]:
    for section in top.sections("creds"):
        try:
            yield _registry(section)
        except NoCounterpart as error:
            remarks.append(Remark(file=section.document.name, line=error.line, text=error.text))


_LOST_OF_REGISTRIES: Mapping[str, str] = {
    "regcert": "is a certificate; write it to a file on the workers, and ca_file: with its path",
    "clientCert": "is a client certificate, which a mirrors file cannot name",
    "clientKey": "is the key of a client certificate, which a mirrors file cannot name",
    "credHelper": "gets logins by a command; docs/registries.md says how the clouds' logins work here",
    "pathPrefix": "puts a path before each name; write it into prefix: or the names",
    "mirrors": "reads from other hosts first; a mirror has one source",
}

_NEEDLESS_OF_REGISTRIES: Mapping[str, str] = dict.fromkeys(
    ("repoAuth", "credExpire", "credHost", "priority", "api", "apiOpts", "blobChunk", "blobMax"),
    "has no counterpart, and is not needed",
)


def _registry(section: Section) -> ImportedRegistry:
    """An item of ``creds:``. Passwords and tokens are not kept."""
    name = section.required("registry")
    if "{{" in name:
        raise section.no_counterpart(TEMPLATE, "registry")
    host = parse_place(section.text("hostname") or name, section.line).host
    remarks = [section.remark(text, key) for key, text in _LOST_OF_REGISTRIES.items() if section.has(key)]
    remarks += _about_keys(section, _NEEDLESS_OF_REGISTRIES)
    options: dict[str, Value] = {}
    match section.text("tls") or ("disabled" if section.text("scheme") == "http" else ""):
        case "disabled":
            options["tls"] = False
        case "insecure":
            remarks.append(section.remark("connects without verification; write ca_file: with its authority", "tls"))
    if rate := section.number("reqPerSec"):
        options["requests_per_second"] = max(rate, 0.01)
    if connections := section.number("reqConcurrent"):
        options["max_connections"] = min(max(int(connections), 1), 64)
    has_login = any([section.has("pass"), section.has("token"), section.has("user"), section.has("credHelper")])
    login = read_login(host, section.text("user"), section.text("pass")) if has_login else None
    remarks += unread_remarks(section)
    return ImportedRegistry(host=host, login=login, options=tuple(options.items()), remarks=tuple(remarks))
