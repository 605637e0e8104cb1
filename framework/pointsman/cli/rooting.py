"""Make a trust root of keys, and sign it; what a ceremony does, on one machine or on several.

A root that its own role, and the one before it, have not signed often enough is written all the same, and said to be
incomplete: the other holders sign on their own machines. Nobody believes it until then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.cli.files import read_holder, read_keys, read_paper, write_new
from pointsman.errors import BadSignature, ConfigurationError, Malformed, ManifestError
from pointsman.manifests.drafts import Heading, draft_root
from pointsman.manifests.envelope import sign_document
from pointsman.manifests.keys import PublicKey, SigningKey
from pointsman.manifests.root import ROLES, load_root, rotate
from pointsman.manifests.schema import Audience, Root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pointsman.cli.drafts import Life
    from pointsman.manifests.schema import RoleName


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is to hold which role, by how many; and those of them who can sign here."""

    holders: Mapping[RoleName, Sequence[PublicKey]]
    thresholds: Mapping[RoleName, int]
    signers: Sequence[SigningKey]

    @classmethod
    def read(cls, named: Mapping[RoleName, Sequence[str]], thresholds: Sequence[str]) -> Roles:
        """Read keys that are named by file or hex, and thresholds as ``role=n``.

        Raises:
            ConfigurationError: A key or a threshold cannot be read.
        """
        keys = {role: [read_holder(text) for text in texts] for role, texts in named.items() if texts}
        return cls(
            {role: [key.public if isinstance(key, SigningKey) else key for key in each] for role, each in keys.items()},
            dict(map(_threshold, thresholds)),
            [key for key in keys.get("root", ()) if isinstance(key, SigningKey)],
        )


def first_root(roles: Roles, audience: tuple[str, str], life: Life) -> Root:
    """Return the first root of a fleet, to be signed.

    Raises:
        ConfigurationError: A role has no key, or the audience is not said.
    """
    if not all(audience):
        raise ConfigurationError(
            "Expected the audience of the root, found none.",
            hint="Say it: --service notebook --environment production",
        )
    if missing := [name for name in ROLES if not roles.holders.get(name)]:
        raise ConfigurationError(
            f"Expected at least one key for each role, found none for {', '.join(missing)}.",
            hint=f"Say it: --{missing[0]} FILE",
        )
    heading = Heading(1, 1, life.issued_at, life.expires, Audience(*audience))
    return draft_root(heading, roles.holders, roles.thresholds)


def next_root(old: Root, roles: Roles, life: Life, *, new_epoch: bool) -> Root:
    """Return the root that follows one, to be signed; a role for which no key is given keeps its keys."""
    heading = Heading(old.version + 1, old.epoch + int(new_epoch), life.issued_at, life.expires, old.audience)
    kept = {
        name: [PublicKey.from_hex(old.keys[keyid]) for keyid in old.roles[name].keyids]
        for name in ROLES
        if not roles.holders.get(name)
    }
    thresholds = {name: role.threshold for name, role in old.roles.items()}
    return draft_root(heading, {**roles.holders, **kept}, {**thresholds, **roles.thresholds})


def read_root(path: Path) -> tuple[Root, bytes]:
    """Return a root that can be believed, and its bytes.

    Raises:
        ConfigurationError: It cannot be read or believed.
        Malformed: It is another document.
    """
    paper = read_paper(path)
    load_root(paper.data)
    document = paper.document
    if not isinstance(document, Root):
        raise Malformed(f"{path}: expected a root, found another document.")
    return document, paper.data


def sign_root(path: Path, document: Root, old: bytes | None, roles: Roles, sign_with: Sequence[Path]) -> dict[str, Any]:
    """Sign a root, write it to a new file, and return what was written.

    Raises:
        ConfigurationError: Nobody signs, or the file is there already.
    """
    signers = [*roles.signers, *read_keys(sign_with)]
    if not signers:
        raise ConfigurationError(
            "Expected a key that signs the root, found public ones only.", hint="Name a file: --root root.key"
        )
    data = sign_document(document, signers)
    missing = _missing(data, old, document)
    write_new(path, data)
    return {
        "path": str(path),
        "version": document.version,
        "epoch": document.epoch,
        "signed_by": [key.keyid for key in signers],
        "complete": missing is None,
        **({} if missing is None else {"missing": missing}),
    }


def _missing(data: bytes, old: bytes | None, document: Root) -> str | None:
    """Return why nobody believes a root yet; a root that no further signature could mend is refused.

    Raises:
        ConfigurationError: Its keys or roles would not do.
    """
    try:
        if old is None:
            load_root(data)
        else:
            rotate(load_root(old), data, document.issued_at)
    except (ConfigurationError, ManifestError) as error:
        if not isinstance(error.__cause__, BadSignature):
            raise
        return error.message
    return None


def _threshold(text: str) -> tuple[RoleName, int]:
    role, _, number = text.partition("=")
    for name in ROLES:
        if name == role and number.isdecimal():
            return name, int(number)
    raise ConfigurationError(f"Expected a threshold as role=number, found {text!r}.", hint="Write manifest=2.")
