"""Sign documents, verify them under a trust root, and show what they say.

Blocks on files. What is shown is not verified; what is verified is told as the verdict tells it.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pointsman.cli.files import facts_of, is_source, read_bytes, read_keys, read_paper, write_over
from pointsman.errors import ConfigurationError, WrongType
from pointsman.manifests.canonical import encode
from pointsman.manifests.envelope import countersign, sign_document
from pointsman.manifests.root import load_root
from pointsman.manifests.schema import Manifest, Release, Root, tag_of
from pointsman.manifests.trust import Trust
from pointsman.manifests.verification import Verified, verify_manifest, verify_release

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def signed(source: Path, keys: Sequence[Path], output: Path | None) -> dict[str, Any]:
    """Sign a payload, or countersign an envelope; return what was written.

    Args:
        source: The payload, or the envelope.
        keys: Files of the keys that sign.
        output: Unsaid: an envelope is written over, a payload's goes beside it, as ``….dsse.json``.

    Raises:
        ConfigurationError: A file cannot be read or written.
        ManifestError: The source is no document.
    """
    if is_source(source):
        raise ConfigurationError(
            f"{source}: expected a payload, found a source.", hint=f"Pack it first: pointsman manifest pack {source}"
        )
    paper = read_paper(source)
    document, signers = paper.document, read_keys(keys)
    if paper.opened is None:
        data, path = sign_document(document, signers), output or source.with_suffix(".dsse.json")
    else:
        data, path = countersign(paper.data, signers, max_bytes=len(paper.data)), output or source
    write_over(path, data)
    return facts_of(read_paper(path))


async def trust_of(root: Path | None, reference: str) -> Trust:
    """Return what is believed: a root's, for its own audience, or else what the application's settings say.

    Raises:
        ConfigurationError: The root, or the application, is wrong.
    """
    if root is not None:
        believed = load_root(read_bytes(root).strip())
        return Trust(believed, believed.audience)
    from pointsman.cli.applications import runtime_of
    from pointsman.control.attachment import establish

    return await establish(runtime_of(reference), os.environ)


def verified(source: Path, trust: Trust, now: datetime) -> dict[str, Any]:
    """Return the verdict on a manifest, a release or a root.

    Raises:
        ManifestError: It is refused; says by which rule.
        ConfigurationError: It is a root that cannot be believed.
    """
    paper = read_paper(source)
    facts = {"path": str(source), "type": tag_of(paper.kind)}
    if paper.kind is Root:
        root = load_root(paper.data, trust.limits)
        signers = [signed.keyid for signed in paper.opened.signatures] if paper.opened else []
        return {
            **facts,
            "version": root.version,
            "freshness": "expired" if root.expired(now) else "fresh",
            "signers": signers,
        }
    found: Verified[Manifest] | Verified[Release]
    if paper.kind is Manifest:
        found = verify_manifest(paper.data, trust, now)
    elif paper.kind is Release:
        found = verify_release(paper.data, trust, now)
    else:
        raise WrongType(f"{source}: expected a manifest, a release or a root, found a {facts['type']}.")
    return {
        **facts,
        "version": found.document.version,
        "digest": found.envelope_digest,
        "payload_digest": found.payload_digest,
        "freshness": str(found.freshness),
        "signers": list(found.signers),
    }


def shown(source: Path) -> tuple[dict[str, Any], str]:
    """Return what a file says, as a document and as text. Nothing is verified.

    Raises:
        ConfigurationError: It cannot be read.
        ManifestError: It is none of our documents.
    """
    if is_source(source):
        from pointsman.cli.packing import any_manifest

        manifest = any_manifest(source)
        content = json.loads(encode(manifest))
        return {"path": str(source), "type": "source", "content": content}, _pretty(content)
    paper = read_paper(source)
    facts = {**facts_of(paper), "content": json.loads(encode(paper.document))}
    head = [f"{facts['type']} in {source}", f"  digest   {facts['digest']}", f"  payload  {facts['payload_digest']}"]
    head += [f"  keyid    {keyid}" for keyid in facts["keyids"]] or ["  unsigned"]
    return facts, "\n".join([*head, _pretty(facts["content"])])


def _pretty(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)
