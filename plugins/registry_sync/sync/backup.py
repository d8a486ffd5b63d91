"""Keep an image under a backup tag before its own tag is overwritten: the manifest's own bytes, verified."""

from __future__ import annotations

from registry_sync.errors import RefusedError, RegistrySyncError, TemporaryError
from registry_sync.sync.plan import CopyTag
from registry_sync.sync.reading.tag_states import head_if_visible
from registry_sync.sync.session import Session


def keep_backup(session: Session, copy: CopyTag) -> None:
    """Publish the backup tag of ``copy``. An existing backup costs two HEADs and no write.

    :raises RegistrySyncError: when the backup tag does not have the digest afterwards. The tag of ``copy`` must then
        not be overwritten.
    """
    backup, client, repository = copy.backup, session.destination, session.route.destination_repository
    if backup is None:
        return
    current = client.head_manifest(repository, copy.tag)
    if current != backup.digest:
        seen = f"has {current.short}" if current else "does not exist"
        raise TemporaryError(f"the destination's tag {seen} now; the retry plans again")
    existing = head_if_visible(client, repository, backup.tag)
    if existing == backup.digest:
        return
    if existing is not None:
        raise RefusedError(f"the backup tag already exists and has {existing.short}; write a distinct backup_tag")
    client.put_manifest(repository, backup.tag, client.get_manifest(repository, backup.digest))
    published = client.head_manifest(repository, backup.tag, is_expected=True)
    if published != backup.digest:
        state = f"has {published.short} instead of" if published else "does not exist; expected"
        raise TemporaryError(f"the backup was published, but its tag {state} {backup.digest.short}")


def backup_failure(copy: CopyTag, error: RegistrySyncError) -> str:
    """The reason for a tag that was not overwritten because its backup failed."""
    return f"{copy.reason}: the backup failed, so the tag was not overwritten ({error})"
