"""Lay out a small deployment in a folder: keys, trust root, signed manifest, settings, store.

What release engineer and operator do in earnest, each on a machine of their own, is done here in one place. What lies
in the folder already is used again; only the settings are written anew, so that they follow the checkout's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from pointsman.cli.drafts import Life, manifest_of
from pointsman.cli.files import make_folder, read_paper, write_new, write_over
from pointsman.cli.loopback import admin_section
from pointsman.cli.releasing import press, publish
from pointsman.cli.standing import standpoint
from pointsman.errors import ConfigurationError, Expired, NotFound
from pointsman.manifests.drafts import Heading, draft_root
from pointsman.manifests.envelope import digest_of, sign_document
from pointsman.manifests.keys import SigningKey, generate, load_signing_key, save_signing_key
from pointsman.manifests.root import ROLES
from pointsman.manifests.schema import Audience, RoleName
from pointsman.manifests.verification import Freshness, verify_manifest
from pointsman.runtime.sources.files import read_yaml

if TYPE_CHECKING:
    from pointsman.cli.releasing import Press
    from pointsman.manifests.schema import Release
    from pointsman.manifests.verification import Verified
    from pointsman.runtime.runtime import Runtime

ENVIRONMENT: Final = "demo"
SETTINGS: Final = "settings"
_OF_THE_DEMO: Final = frozenset({"tenants.yml", "trust.yml", "app.yml"})


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder with a deployment.

    Attributes:
        folder: Absolute; only its owner can look into it.
        checkout: With the reference service.
        store: URL of the store on which the fleet agrees.
    """

    folder: Path
    checkout: Path
    store: str

    @property
    def tenants(self) -> dict[str, Any]:
        """The tenants of the checkout's settings: in the demo the signed manifest says what those files say."""
        return read_yaml(self.checkout / SETTINGS / "tenants.yml")[0]

    def lay_out(self, token: str) -> None:
        """Make what is missing, and write the settings for an operator with this token.

        Raises:
            ConfigurationError: Something cannot be read or written.
        """
        keys = {role: self._key(role) for role in ROLES}
        app = read_yaml(self.checkout / SETTINGS / "app.yml")[0]
        audience = Audience(app.get("service", ""), ENVIRONMENT)
        if not self._root.exists():
            now = datetime.now(UTC)
            heading = Heading(1, 1, now, Life(now, 365).expires, audience)
            root = draft_root(heading, {role: [key.public] for role, key in keys.items()}, {})
            write_new(self._root, sign_document(root, [keys["root"]]))
        if not self._manifest.exists():
            self._sign_manifest(1)
        self._write_settings(app, token)

    async def publish(self) -> None:
        """Publish the manifest, unless it is published already and good for a while.

        Raises:
            ManifestError: The store holds what other keys signed.
            StoreError: The store refused, or did not answer.
        """
        async with press(self.store, self._root, "") as on:
            previous = await on.publisher.current()
            if previous is not None:
                if self._stands(on, previous):
                    return
                newest = max(entry.version for entry in previous.document.approved)
                self._sign_manifest(newest + 1)
            life = Life(datetime.now(UTC), 30)
            await publish(on, self._manifest, [self._key_file("release")], life, floor=None, roots=())

    async def found(self, runtime: Runtime) -> None:
        """Create the first head, where there is none.

        Raises:
            ManifestError: The head that is there is refused.
            StoreError: The store refused, or did not answer.
        """
        async with standpoint(runtime) as stand:
            try:
                await stand.head()
            except NotFound:
                await stand.adopt(0)

    def _stands(self, on: Press, previous: Verified[Release]) -> bool:
        """Tell whether the release in the store is fresh, and approves our manifest, which is fresh too."""
        if previous.freshness is not Freshness.FRESH:
            return False
        data = read_paper(self._manifest).data
        if digest_of(data) not in {entry.digest for entry in previous.document.approved}:
            return False
        try:
            return verify_manifest(data, on.trust, datetime.now(UTC)).freshness is Freshness.FRESH
        except Expired:
            return False

    def _sign_manifest(self, version: int) -> None:
        app = read_yaml(self.checkout / SETTINGS / "app.yml")[0]
        audience = {"service": app.get("service", ""), "environment": ENVIRONMENT}
        source = {"version": version, "audience": audience, "tenants": self.tenants}
        manifest = manifest_of(source, {}, Life(datetime.now(UTC), 30), "the demo's manifest")
        write_over(self._manifest, sign_document(manifest, [self._key("manifest")]))

    def _write_settings(self, app: dict[str, Any], token: str) -> None:
        settings = self.folder / SETTINGS
        make_folder(settings)
        for source in sorted((self.checkout / SETTINGS).glob("*.yml")):
            if source.name not in _OF_THE_DEMO:
                write_over(settings / source.name, source.read_bytes())
        of_the_demo = {
            "environment": ENVIRONMENT,
            "logging": {"format": "console", "level": "WARNING"},
            "control": {"store": self.store, "key_file": str(self._key_file("control"))},
            "admin": admin_section(token),
        }
        trust = {"root": str(self._root), "destinations": ["./state"]}
        for name, said in (("app.yml", {**app, **of_the_demo}), ("trust.yml", trust)):
            write_over(settings / name, yaml.safe_dump(said, sort_keys=False).encode())

    def _key(self, role: RoleName) -> SigningKey:
        path = self._key_file(role)
        if path.exists():
            return load_signing_key(path)
        make_folder(path.parent)
        key = generate()
        save_signing_key(path, key)
        return key

    def _key_file(self, role: RoleName) -> Path:
        return self.folder / "keys" / f"{role}.key"

    @property
    def _root(self) -> Path:
        return self.folder / "root.dsse.json"

    @property
    def _manifest(self) -> Path:
        return self.folder / "manifest.dsse.json"


def reference_service() -> Path:
    """Return the checkout with the reference service: the working directory, or the clone of this package.

    Raises:
        ConfigurationError: Neither holds it; an installed package does not.
    """
    for place in (Path.cwd(), Path(__file__).resolve().parents[3]):
        if (place / "app" / "main.py").is_file() and (place / "handlers").is_dir() and (place / SETTINGS).is_dir():
            return place
    raise ConfigurationError(
        f"The demo serves the reference notebook, and found no app/, handlers/ and settings/ in {Path.cwd()}.",
        hint="Run it in a clone of the repository: the installed package holds the framework alone.",
    )
