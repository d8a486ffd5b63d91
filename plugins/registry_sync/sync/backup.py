"""Keep an image under a backup's tag before its own tag is overwritten: by its manifest's own bytes, and verified.

A tag that must not just be overwritten is looked at once more right before it is.
"""

from __future__ import annotations

from registry_sync.errors import RefusedError, RegistrySyncError, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.sync.plan import CopyTag


def keep_backup(client: RegistryClient, repository: Repository, copy: CopyTag) -> None:
    """Have the backup's tag name what the tag names; one that does already costs two looks and no write.

    :raises RegistrySyncError: when it does not afterwards. Then the tag must not be overwritten.
    """
    backup = copy.backup
    if backup is None:
        return
    now = client.head_manifest(repository, copy.tag)
    if now != backup.digest:
        names = now.short if now else "nothing"
        raise TemporaryError(f"the destination's tag names {names} by now; the next try keeps that")
    held = client.head_manifest(repository, backup.tag)
    if held == backup.digest:
        return
    if held is not None:
        raise RefusedError(f"that tag is there already and names {held.short}; write a distinct backup_tag")
    client.put_manifest(repository, backup.tag, client.get_manifest(repository, backup.digest))
    held = client.head_manifest(repository, backup.tag)
    if held != backup.digest:
        raise TemporaryError(f"published, but it names {held.short if held else 'nothing'}, not {backup.digest.short}")


def pushed_meanwhile(now: Digest) -> TemporaryError:
    """Why a tag is not written of which the plan knew nothing, or something else."""
    seen = f"the destination's tag was pushed meanwhile, and names {now.short}"
    return TemporaryError(f"{seen}; the next try decides what is done with that")


def unkept(copy: CopyTag, error: RegistrySyncError) -> str:
    """Both reasons: that the tag has moved, and why it is not overwritten all the same."""
    return f"{copy.reason}: that failed, so that the tag was not overwritten ({error})"
