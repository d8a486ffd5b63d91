"""Simple signatures by GPG, as podman and skopeo make them, in a lookaside: a folder beside the registry.

https://github.com/containers/image/blob/main/docs/containers-signature.5.md
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from testkit.images import Image
from testkit.waiting import PATIENCE_SECONDS

USER = "tests@example.com"


class Signer:
    """A key, the policy that asks for its signatures, and the lookaside in ``directory`` that they are put into.

    GnuPG talks to its agent by a socket in its home, whose path must be short; so that is elsewhere.
    """

    def __init__(self, directory: Path, host: str) -> None:
        self._directory = directory
        self._host = host
        self._home = Path(tempfile.mkdtemp(prefix="gpg-"))
        self.policy = directory / "policy.json"
        self.registries_d = directory / "registries.d"
        self._lookaside = directory / "lookaside"

    def __enter__(self) -> Self:
        self._gpg("--passphrase", "", "--quick-generate-key", USER, "ed25519", "sign", "never")
        listing = self._gpg("--with-colons", "--list-keys", USER)
        self._fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        key = self._directory / "key.gpg"
        key.write_text(self._gpg("--armor", "--export", USER))
        self.registries_d.mkdir()
        lookaside = f"docker:\n  {self._host}:\n    lookaside: file://{self._lookaside}\n"
        (self.registries_d / "tests.yaml").write_text(lookaside)
        requirement = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(key)}
        policy = {"default": [{"type": "reject"}], "transports": {"docker": {self._host: [requirement]}}}
        self.policy.write_text(json.dumps(policy))
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], env=self._environment, timeout=PATIENCE_SECONDS, check=False)
        shutil.rmtree(self._home, ignore_errors=True)

    def sign(self, repository: str, image: Image) -> None:
        """Sign one manifest, and put the signature where a reader of the lookaside finds it."""
        manifest = self._directory / "manifest.json"
        manifest.write_bytes(image.content)
        place = self._lookaside / f"{repository}@{image.digest.algorithm}={image.digest.encoded}"
        place.mkdir(parents=True)
        command = ["skopeo", "standalone-sign", str(manifest), f"{self._host}/{repository}:v1", self._fingerprint]
        self._run([*command, "--output", str(place / "signature-1")])

    def sign_all(self, repository: str, index: Image) -> None:
        """Sign every image that an index names; of the index itself no signature is asked for."""
        for child in index.children:
            self.sign(repository, child)

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "GNUPGHOME": str(self._home), "HOME": str(self._home)}

    def _gpg(self, *arguments: str) -> str:
        return self._run(["gpg", "--batch", "--pinentry-mode", "loopback", *arguments])

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout
