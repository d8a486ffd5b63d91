"""Amazon ECR's API in front of a real registry: its listings show the registry's content.

It follows tests/contract/ecr.json, and the SDK where that is silent.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from testkit.api_server import ApiServer, Asked, json_answer
from testkit.aws import ACCOUNT
from testkit.interceptor import Answer
from testkit.registry import RegistryProcess

_TARGET = "AmazonEC2ContainerRegistry_V20150921."

_WRITES = re.compile(r"/v2/(.+)/(?:blobs/uploads/|manifests/).*")

Document = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class _Fault:
    action: str
    code: str
    message: str
    status: int
    times: int


@dataclass(slots=True, kw_only=True)
class Call:
    """A call of the API: its action, its document, the id of the key that signed it, and the body of its answer."""

    action: str
    document: Document
    key_id: str
    target: str
    body: bytes
    answer: bytes = b""
    status: int = 0


@dataclass(slots=True, kw_only=True)
class _Repository:
    settings: dict[str, Any] = field(default_factory=dict)


class EcrServer(ApiServer):
    """A registry of ECR at ``host``: API and ``/v2`` at one address.

    A repository exists once it was created, by the API, by :meth:`create`, or by a push where a template says so.
    An image was pushed when its manifest was last written, or at the time of :meth:`set_pushed_at`.

    :ivar calls: every call of the API.
    :ivar page_size: most items of a page, whatever is asked for.
    :ivar templates: the repository creation templates.
    :ivar account: account of the identity, whose templates are listed.
    :ivar expired: ids of keys whose session has ended.
    """

    def __init__(self, registry: RegistryProcess) -> None:
        super().__init__(registry.url)
        self.registry = registry
        self.calls: list[Call] = []
        self.page_size = 1000
        self.templates: list[Document] = []
        self.account = ACCOUNT
        self.expired = set[str]()
        self._repositories: dict[str, _Repository] = {}
        self._pushed_at: dict[str, datetime] = {}
        self._children = set[str]()
        self._faults: list[_Fault] = []
        self._documents: dict[str, Document] = {}
        self._table = threading.RLock()

    def create(self, name: str, **settings: Any) -> None:
        """Create a repository. ``settings`` are fields of its description, such as ``imageTagMutability``."""
        with self._table:
            self._repositories[name] = _Repository(settings=settings)

    def set_pushed_at(self, digest: object, moment: datetime) -> None:
        """Set the push time of an image."""
        self._pushed_at[str(digest)] = moment

    def refer_to(self, digest: object) -> None:
        """Let an index have an image, which then cannot be deleted."""
        self._children.add(str(digest))

    def fail(self, action: str, code: str, message: str = "", *, status: int = 400, times: int = 10**6) -> None:
        """Answer an action with an error."""
        self._faults.append(_Fault(action=action, code=code, message=message, status=status, times=times))

    def answer_with(self, action: str, document: Document) -> None:
        """Answer an action with a document and the status 200."""
        self._documents[action] = document

    def actions(self) -> list[str]:
        """The actions of all calls."""
        return [call.action for call in self.calls]

    def is_api(self, path: str) -> bool:
        match = _WRITES.fullmatch(path)
        return path == "/" or (match is not None and not self._exists(match[1]))

    def _exists(self, name: str) -> bool:
        with self._table:
            if name not in self._repositories and self._has_template(name):
                self.create(name)
            return name in self._repositories

    def _has_template(self, name: str) -> bool:
        """Only a push reads templates. A HEAD before it makes the repository too, which nothing depends on."""
        prefixes = {"" if row["prefix"] == "ROOT" else f"{row['prefix']}/": row["appliedFor"] for row in self.templates}
        fitting = max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default=None)
        return fitting is not None and "CREATE_ON_PUSH" in prefixes[fitting]

    def answer_api(self, asked: Asked) -> Answer:
        if asked.path != "/":
            message = f"The repository does not exist in the registry with id '{ACCOUNT}'"
            return json_answer({"errors": [{"code": "NAME_UNKNOWN", "message": message}]}, 404)
        target = asked.headers.get("X-Amz-Target", "")
        credential = re.search(r"AWS4-HMAC-SHA256 Credential=([^/]+)/", asked.headers.get("Authorization", ""))
        call = Call(
            action=target.removeprefix(_TARGET),
            document=json.loads(asked.body),
            key_id=credential[1] if credential else "",
            target=target,
            body=asked.body,
        )
        with self._table:
            self.calls.append(call)
            answer = self._refusal(call) or self._answer(call)
        call.answer, call.status = answer.body, answer.status
        return answer

    def _refusal(self, call: Call) -> Answer | None:
        if not call.key_id:
            return _error("MissingAuthenticationTokenException", "Missing Authentication Token")
        if call.key_id in self.expired:
            return _error("ExpiredTokenException", "The security token included in the request is expired")
        for fault in self._faults:
            if fault.action == call.action and fault.times > 0:
                fault.times -= 1
                return _error(fault.code, fault.message, fault.status)
        return None

    def _answer(self, call: Call) -> Answer:
        name = call.document.get("repositoryName", "")
        if call.action in self._documents:
            return json_answer(self._documents[call.action])
        match call.action:
            case "DescribeRepositories":
                return self._describe_repositories(call.document)
            case "CreateRepository" if name in self._repositories:
                return _error("RepositoryAlreadyExistsException", f"The repository with name '{name}' already exists")
            case "CreateRepository":
                self.create(name)
                return json_answer({"repository": self._row(name)})
            case "DescribeRepositoryCreationTemplates":
                page = self._page(call.document, "repositoryCreationTemplates", list(self.templates))
                return json_answer({**json.loads(page.body), "registryId": self.account})
            case _ if name not in self._repositories:
                return _missing(name)
            case "DescribeImages":
                return self._page(call.document, "imageDetails", self._images(name))
            case "BatchDeleteImage":
                return self._delete(name, call.document["imageIds"])
        return _error("UnknownOperationException", call.action)

    def _describe_repositories(self, document: Document) -> Answer:
        names = document.get("repositoryNames")
        if names is None:
            return self._page(document, "repositories", [self._row(name) for name in sorted(self._repositories)])
        missing = [name for name in names if name not in self._repositories]
        return _missing(missing[0]) if missing else json_answer({"repositories": [self._row(name) for name in names]})

    def _row(self, name: str) -> Document:
        arn = f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/{name}"
        settings = {"imageTagMutability": "MUTABLE", **self._repositories[name].settings}
        return {"registryId": ACCOUNT, "repositoryName": name, "repositoryArn": arn, **settings}

    def _page(self, document: Document, key: str, rows: list[Document]) -> Answer:
        """A page from the number in the token."""
        start = int(document.get("nextToken", "0"))
        size = min(document.get("maxResults", 100), self.page_size)
        following = {"nextToken": str(start + size)} if start + size < len(rows) else {}
        return json_answer({key: rows[start : start + size], **following})

    def _images(self, name: str) -> list[Document]:
        """Images with tags, in the order of their digests."""
        tags = defaultdict[str, list[str]](list)
        for link in sorted((self._root / name / "_manifests/tags").glob("*/current/link")):
            tags[link.read_text()].append(link.parent.parent.name)
        return [self._image(name, digest, tags[digest]) for digest in sorted(tags)]

    def _image(self, name: str, digest: str, tags: list[str]) -> Document:
        link = self._root / name / "_manifests/revisions" / digest.replace(":", "/") / "link"
        pushed_at = self._pushed_at.get(digest)
        seconds = pushed_at.timestamp() if pushed_at else link.stat().st_mtime
        identity = {"registryId": ACCOUNT, "repositoryName": name, "imageDigest": digest, "imageTags": tags}
        return {**identity, "imagePushedAt": seconds, "imageStatus": "ACTIVE"}

    def _delete(self, name: str, images: list[Document]) -> Answer:
        """Delete tags. The last tag of an image that an index has stays."""
        deleted, failures = list[Document](), list[Document]()
        for image in images:
            tag = image["imageTag"]
            row = next((row for row in self._images(name) if tag in row["imageTags"]), None)
            if row is None:
                reason = "Requested image not found"
                failures.append({"imageId": image, "failureCode": "ImageNotFound", "failureReason": reason})
            elif row["imageDigest"] in self._children and row["imageTags"] == [tag]:
                code = "ImageReferencedByManifestList"
                reason = "Requested image referenced by manifest list"
                failures.append({"imageId": image, "failureCode": code, "failureReason": reason})
            else:
                self.registry.forget_tag(name, tag)
                deleted.append({"imageDigest": row["imageDigest"], "imageTag": tag})
        return json_answer({"imageIds": deleted, "failures": failures})

    @property
    def _root(self) -> Path:
        return self.registry.storage / "docker" / "registry" / "v2" / "repositories"


def _missing(name: str) -> Answer:
    message = f"The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'"
    return _error("RepositoryNotFoundException", message)


def _error(code: str, message: str, status: int = 400) -> Answer:
    return json_answer({"__type": code, "message": message}, status)
