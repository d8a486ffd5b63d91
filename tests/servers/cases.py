"""Cases that every server is tried with, as a source and as a destination. Each returns what was seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import requests

from registry_sync.errors import DeniedError, RegistrySyncError
from registry_sync.oci.artifact_tags import referrers_tag
from registry_sync.oci.manifest import ACCEPT, OCI_INDEX
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.endpoint import Credentials
from testkit import images
from testkit.images import Image
from testkit.routes import FULL_CHECK, counted
from testkit.servers import CRANE, PUBLIC, USER
from testkit.waiting import PATIENCE_SECONDS
from tests.servers.place import LOGIN, OK, Place, Seen, failure, result

TAGS, REPOSITORIES = 1100, 130
"""More than a page of a thousand, and more than one of a hundred."""
THREADS = 8

FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
PRUNE = {"tags": "gone_at_source", "max_percent": 100, "dry_run": False}

NO_LOGIN, NO_MODE = Seen(outcome="no log-in"), Seen(outcome="no such mode")
"""The server cannot be started as the case needs it."""

Case = Callable[[Place], Seen]


def _image(place: Place, text: str = "") -> Image:
    """An image of one layer that only this case has."""
    return images.image([images.layer({"text": f"{place.name} {text}".encode()})])


def _copy(place: Place, contents: Mapping[str, Image]) -> Seen:
    """Mirror tags, and compare the destination's digests."""
    for tag, content in contents.items():
        place.push(tag, content)
    seen = place.outcome()
    if seen == OK:
        found = {tag: digest for tag, digest in place.tags().items() if tag in contents}
        assert found == {tag: content.digest for tag, content in contents.items()}
    return seen


def many_tags(place: Place) -> Seen:
    content = images.image([])
    place.push("v0", content)
    with ThreadPoolExecutor(THREADS) as pool, place.session() as session:
        list(pool.map(partial(_put_tag, place, session, content), range(1, TAGS)))
    with place.client() as client:
        names = {tag.name for tag in client.list_tags(Repository(place.wire.host, place.name))}
    assert names == {f"v{number}" for number in range(TAGS)}
    return OK


def _put_tag(place: Place, session: requests.Session, content: Image, number: int) -> None:
    answer = session.put(
        f"{place.source.url}/v2/{place.name}/manifests/v{number}",
        data=content.content,
        headers={"Content-Type": content.media_type},
        timeout=PATIENCE_SECONDS,
    )
    assert answer.ok, answer.text


def many_repositories(place: Place) -> Seen:
    with place.with_another(place.program.start) as own, ThreadPoolExecutor(THREADS) as pool:
        names = [f"team/app{number}" for number in range(REPOSITORIES)]
        list(pool.map(lambda name: own.push("v1", images.image([]), name=name), names))
        return _namespace(own, "team", REPOSITORIES)


def _namespace(place: Place, namespace: str, count: int) -> Seen:
    with place.client(place.login) as client:
        try:
            client.ping()
            names = {repository.name for repository in client.list_repositories(namespace)}
        except RegistrySyncError as error:
            return failure(error)
    assert len(names) == count, sorted(names)
    return OK


def oci_images(place: Place) -> Seen:
    single, index = _image(place), images.multi_arch(place.name, attestations=True)
    return _copy(place, {"single": single, "index": index, "chart": images.artifact(place.name)})


def docker_images(place: Place) -> Seen:
    single = images.image([images.layer({"text": place.name.encode()})], format="docker")
    return _copy(place, {"single": single, "list": images.multi_arch(place.name, format="docker")})


def moved_tag(place: Place) -> Seen:
    old, new = _image(place, "old"), _image(place, "new")
    assert _copy(place, {"v1": old}) == OK
    return _copy(place, {"v1": new})


def moved_tag_with_backup(place: Place) -> Seen:
    old, new = _image(place, "old"), _image(place, "new")
    assert _copy(place, {"v1": old}) == OK
    place.push("v1", new)
    seen = place.outcome(place.route(backup_tag="{{ tag }}-was-{{ digest_short }}"))
    assert place.tags() == {"v1": new.digest, f"v1-was-{old.digest.encoded[:12]}": old.digest}
    return seen


def second_run(place: Place) -> Seen:
    place.push("v1", images.multi_arch(place.name))
    assert place.outcome() == OK
    place.wire.clear_requests()
    report = place.run()
    assert counted(report) == {"unchanged": 1}
    assert place.writes() == []
    return result(report)


def tags_of_one_image(place: Place) -> Seen:
    content, tags = _image(place), [f"v{number}" for number in range(5)]
    seen = _copy(place, dict.fromkeys(tags, content))
    uploads = [write for write in place.writes() if write == "POST blobs/uploads/"]
    assert len(uploads) <= len(content.blobs), uploads
    return seen


def artifacts(place: Place) -> Seen:
    """A cosign signature, and an SBOM that refers to the image."""
    content = _image(place)
    signature, sbom = images.cosign_signature(content), images.bare_artifact(place.name, subject=content)
    place.push("v1", content)
    place.push(images.cosign_tag(content), signature)
    _push_referrer(place, content, sbom)
    seen = place.outcome()
    if seen == OK:
        assert images.resolve(place.destination.url, place.name, images.cosign_tag(content)) == signature.digest
        assert _referrers(place, content.digest) == {sbom.digest}
    return seen


def _push_referrer(place: Place, subject: Image, referrer: Image) -> None:
    """Push as a client does: the referrer, and the list under a tag where the registry does not make it."""
    images.push(place.source.url, place.name, None, referrer)
    if not _listed_by_api(place.source.url, place.name, subject.digest):
        entry = {"mediaType": referrer.media_type, "digest": str(referrer.digest), "size": len(referrer.content)}
        document = {**json.loads(images.index([]).content), "manifests": [entry]}
        listing = Image(content=json.dumps(document).encode(), media_type=OCI_INDEX)
        place.push(referrers_tag(subject.digest), listing)


def _referrers(place: Place, subject: Digest) -> set[Digest]:
    """Referrers at the destination, from its API or else from the tag."""
    base = f"{place.destination.url}/v2/{place.name}"
    if found := _listed_by_api(place.destination.url, place.name, subject):
        return found
    answer = requests.get(
        f"{base}/manifests/{referrers_tag(subject)}", headers={"Accept": ACCEPT}, timeout=PATIENCE_SECONDS
    )
    return _digests(answer)


def _listed_by_api(url: str, name: str, subject: Digest) -> set[Digest]:
    return _digests(requests.get(f"{url}/v2/{name}/referrers/{subject}", timeout=PATIENCE_SECONDS))


def _digests(answer: requests.Response) -> set[Digest]:
    return {Digest.parse(each["digest"]) for each in answer.json()["manifests"] or ()} if answer.ok else set()


def digest_tags(place: Place) -> Seen:
    """Tags ``sha256-<own digest>``, as oc-mirror makes them."""
    contents = [_image(place, "one"), images.multi_arch(place.name)]
    return _copy(place, {f"sha256-{content.digest.encoded}": content for content in contents})


def private_repositories(place: Place) -> Seen:
    if not place.program.with_login:
        return NO_LOGIN
    with place.with_another(place.program.with_login, LOGIN) as own:
        for name in ("open", "closed-1", "closed-2"):
            own.push("v1", images.image([]), name=f"{PUBLIC if name == 'open' else 'team'}/{name}")
        return _namespace(own, "team", 2)


def wrong_password(place: Place) -> Seen:
    if not place.program.with_login:
        return NO_LOGIN
    with place.with_another(place.program.with_login) as own:
        with own.client(Credentials(username=USER, secret="wrong")) as client:
            try:
                client.ping()
            except DeniedError as error:
                return failure(error)
    return OK


def copy_with_login(place: Place) -> Seen:
    if not place.program.with_login:
        return NO_LOGIN
    with place.with_another(place.program.with_login, LOGIN) as own:
        own.push("v1", _image(place))
        return own.outcome()


def all_tags_gone(place: Place) -> Seen:
    """The source loses its tags after a run."""
    contents = {tag: _image(place, tag) for tag in ("v1", "v2")}
    assert _copy(place, contents) == OK
    for tag, content in contents.items():
        _delete(place.source.url, place.name, tag, content.digest)
    seen = place.outcome(window=FULL_CHECK)
    assert place.tags().keys() == contents.keys()
    return seen


def _delete(url: str, name: str, tag: str, digest: Digest) -> None:
    """Delete a tag; where that is not possible its manifest."""
    for target in (tag, digest):
        if requests.delete(f"{url}/v2/{name}/manifests/{target}", timeout=PATIENCE_SECONDS).ok:
            return
    raise AssertionError(f"{url} deletes neither {tag} nor {digest}")


def prune(place: Place) -> Seen:
    """A tag is gone at the source."""
    return _prune(place, {"v1": _image(place, "v1"), "v2": _image(place, "v2")})


def prune_shared(place: Place) -> Seen:
    """A tag is gone at the source, and another tag has its image."""
    return _prune(place, dict.fromkeys(("v1", "v2"), _image(place)))


def _prune(place: Place, contents: Mapping[str, Image]) -> Seen:
    for tag, content in contents.items():
        place.push(tag, content, to=place.destination)
    place.push("v2", contents["v2"])
    route = place.route(prune=PRUNE)
    first = place.run(route)
    second = place.run(route, planned=first.planned_deletions)
    assert place.tags()["v2"] == contents["v2"].digest
    if result(second) == OK and "v1" in place.tags():
        return Seen(outcome="kept", message="; ".join(second.notes))
    return result(second)


def two_cases(place: Place) -> Seen:
    return _copy(place, {"RC2": _image(place, "upper"), "rc2": _image(place, "lower")})


def foreign_layers(place: Place) -> Seen:
    """A layer that is to be fetched from another server, as Windows images had them."""
    with CRANE.start() as origin:
        own = replace(place, peer=origin)
        content = _with_foreign_layer(_image(place))
        own.push("v1", content)
        seen = own.outcome()
        assert seen != OK or images.resolve(own.destination.url, own.name, "v1") == content.digest
        return seen


def _with_foreign_layer(content: Image) -> Image:
    document = json.loads(content.content)
    layer = document["layers"][0]
    layer |= {"mediaType": FOREIGN, "urls": ["http://127.0.0.1:1/layer"]}
    return replace(content, content=json.dumps(document).encode(), blobs=content.blobs[:1])


def lost_layer(place: Place) -> Seen:
    """The destination loses a layer. Then another tag gets its image."""
    content = images.multi_arch(place.name, base=images.layer({"text": place.name.encode()}))
    assert _copy(place, {"v1": content}) == OK
    lost = content.children[0].blobs[1]
    answer = requests.delete(f"{place.destination.url}/v2/{place.name}/blobs/{lost.digest}", timeout=PATIENCE_SECONDS)
    assert answer.ok, answer.text
    return _copy(place, {"v2": content})


def read_only(place: Place) -> Seen:
    if not place.program.read_only:
        return NO_MODE
    place.push("v1", _image(place))
    with place.with_another(place.program.read_only) as own:
        return own.outcome()
