"""The shapes of the four signed documents, and of the head that carries two of them.

Shape and bounds only: nothing here is trusted, verified or compared with another document. Field names are the wire's.
Unknown fields are refused, integers are bounded so that every JSON reader agrees on them, times carry a zone; msgspec
neither takes ``1.0`` nor ``true`` for an integer. Annotations are no text in this module: msgspec would compile each of
them when a document is first decoded, at every start.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Raw, Struct

MAX_INT: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps."""
SPEC_VERSION: Final = 1
MAX_KEYS: Final = 16
"""Keys in one role."""
MAX_APPROVED: Final = 3
MAX_GONE: Final = 256
MAX_RING: Final = 64

Count: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INT)]
Number: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INT)]
Level: TypeAlias = Annotated[int, Meta(ge=-MAX_INT, le=MAX_INT)]
BasisPoints: TypeAlias = Annotated[int, Meta(ge=0, le=10_000)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=31_536_000)]
Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]
Digest: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""Hex SHA-256, lower case; a key id has the same form."""
Text: TypeAlias = Annotated[str, Meta(max_length=4096)]
NAME: Final = r"^[A-Za-z0-9_.-]{1,128}\Z"
Name: TypeAlias = Annotated[str, Meta(pattern=NAME)]
ComponentName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}/[A-Za-z0-9_.-]{1,128}\Z")]
"""``adapter/cache``."""
ProviderName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}/[A-Za-z0-9_.-]{1,128}/[A-Za-z0-9_.-]{1,128}\Z")
]
"""``adapter/cache/redis``."""
TenantId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
RoleName: TypeAlias = Literal["root", "manifest", "release", "control"]
Values: TypeAlias = dict[str, Any]


class Audience(Struct, frozen=True, forbid_unknown_fields=True):
    """For whom a document is meant; both must be this replica's own."""

    service: Text
    environment: Text


# --- root ---


class Role(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which keys may sign one kind of document, and how many of them must."""

    keyids: Annotated[tuple[Digest, ...], Meta(min_length=1, max_length=MAX_KEYS)]
    threshold: Annotated[int, Meta(ge=1, le=MAX_KEYS)]


class Root(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="root"):
    """Who may sign.

    Attributes:
        keys: Key id to the hex of the 32 raw public bytes.
    """

    spec_version: Number
    epoch: Number
    version: Number
    issued_at: Instant
    expires: Instant
    audience: Audience
    keys: Annotated[dict[Digest, Digest], Meta(min_length=1, max_length=4 * MAX_KEYS)]
    roles: dict[RoleName, Role]


# --- manifest ---


class Split(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A weighted selection: ``to`` is ``[[provider, weight in 1/10 000], …]``, the incumbent has the rest."""

    incumbent: Name
    to: Annotated[tuple[tuple[Name, BasisPoints], ...], Meta(min_length=1, max_length=64)]
    salt: Annotated[str, Meta(max_length=128)] = ""


Choice: TypeAlias = Name | Split


class Capability(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a candidate can do, described; ``requires=`` asks for its name."""

    name: Name
    description: Text | None = None
    event_types: tuple[Text, ...] = ()
    payload_schema: Values | Text | None = None
    schema_format: Text | None = None
    security: Values | None = None
    metadata: Values = {}


class CandidateEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One registration. ``None`` and empty mean: left out, and then the factory's own mark speaks.

    Attributes:
        factory: A reference ``pkg.mod:Name``.
        requires: PEP 508 requirements that must be installed.
        conflicts_with: PEP 508 requirements that must not be.
        python_version: A PEP 440 specifier.
        os_platform: ``linux``, ``darwin``, ``windows``, or a machine such as ``x86_64``; one must match.
        tenants: Only these tenants; ``not_tenants``: all but these.
        uri: An artifact; refused as ``artifacts-disabled``, as is ``sha256``.
    """

    domain: Name
    key: Name
    provider: Name
    factory: Annotated[str, Meta(min_length=3, max_length=512)]
    priority: Level | None = None
    stack_level: Level | None = None
    lifetime: Literal["shared", "tenant", "request"] | None = None
    capabilities: tuple[Name | Capability, ...] = ()
    settings_model: Text | None = None
    description: Text | None = None
    version: Text | None = None
    owner: Text | None = None
    metadata: Values = {}
    requires: tuple[Text, ...] = ()
    conflicts_with: tuple[Text, ...] = ()
    python_version: Text | None = None
    os_platform: tuple[Text, ...] | None = None
    tenants: tuple[TenantId, ...] = ()
    not_tenants: tuple[TenantId, ...] = ()
    requires_secrets: bool = False
    side_effect_free: bool = False
    timeout_seconds: Seconds | None = None
    retry_policy: Values | None = None
    license: Text | None = None
    documentation_url: Text | None = None
    event_topics: tuple[Text, ...] | None = None
    event_max_concurrency: Number | None = None
    event_filters: tuple[Values, ...] | None = None
    event_priority: Level | None = None
    event_fanout_policy: Literal["broadcast", "exclusive"] | None = None
    dag: Values | None = None
    uri: Text | None = None
    sha256: Text | None = None


class TenantEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What differs for one tenant; full names, as at the top of the manifest."""

    selections: dict[ComponentName, Choice] = {}
    provider_settings: dict[ProviderName, Values] = {}
    labels: dict[str, Text] = {}


class PolicyEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How one component is kept running; the words and defaults of `resolution.contribution.Policy`."""

    on_unhealthy: Literal["fail", "next"] = "fail"
    fallbacks: tuple[Name, ...] = ()
    on_stale: Literal["serve", "deny"] = "serve"
    prewarm: bool | tuple[TenantId, ...] = False
    drain_timeout_s: Seconds = 30.0
    isolated: bool = False


class Manifest(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="type", tag="manifest"
):
    """What may run: candidates, selections and tenants under one version that only grows.

    Attributes:
        candidates: Those of a large one that was verified are `packed`; most are `PlainEntry`, which reads the same.
    """

    spec_version: Number
    epoch: Number
    version: Number
    issued_at: Instant
    expires: Instant
    audience: Audience
    candidates: tuple[CandidateEntry, ...] = ()
    selections: dict[ComponentName, Choice] = {}
    tenants: dict[TenantId, TenantEntry] = {}
    provider_settings: dict[ProviderName, Values] = {}
    components: dict[ComponentName, PolicyEntry] = {}
    workflows: tuple[Values, ...] = ()
    events: tuple[Values, ...] = ()
    tasks: tuple[Values, ...] = ()


# --- release ---


class Approved(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One manifest that may run: ``digest`` and ``length`` are of its envelope's bytes."""

    digest: Digest
    length: Number
    version: Number


class Release(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="release"):
    """Which of the manifests runs.

    Attributes:
        floor: No manifest of a lower version may run, whatever else names it.
        current: The digest of the approved one that should run.
        root: The version of the root that this release wants in force.
        min_control_seq: The lowest ``seq`` of a control document that may stand beside it.
    """

    spec_version: Number
    epoch: Number
    version: Number
    issued_at: Instant
    expires: Instant
    audience: Audience
    floor: Count
    current: Digest
    approved: Annotated[tuple[Approved, ...], Meta(min_length=1, max_length=MAX_APPROVED)]
    root: Number
    min_control_seq: Count


# --- control ---


class AdoptedRelease(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The release beside which a control document was signed; ``digest`` is of the release's payload."""

    version: Number
    digest: Digest
    adopted_at: Instant


class Good(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A manifest that proved itself over time; ``digest`` is of its envelope."""

    digest: Digest
    version: Number


class Bad(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A manifest that two replicas of one revision refused, by which rule."""

    digest: Digest
    revision: Text
    by: tuple[Text, Text]
    rule: Text


class Order(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An operator's standing instruction about one component.

    Attributes:
        op: The operation that gave it; author and reason lie in ``ops/<op>/begin``.
        tenants: ``"*"``, or those for whom it holds.
        value: The provider of a use, the split of a split, nothing for the gates.
        cseq: The command that gave it.
        until: When it ends by itself, store's clock.
    """

    op: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    kind: Literal["use", "split", "pause", "drain"]
    tenants: Literal["*"] | Annotated[tuple[TenantId, ...], Meta(min_length=1)]
    cseq: Count
    value: Choice | None = None
    until: Instant | None = None


class Rollout(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A progressive swap under way; times are the store's."""

    id: Text
    to: Name
    steps_bp: Annotated[tuple[BasisPoints, ...], Meta(min_length=1, max_length=64)]
    step: Count
    state: Text
    interval_s: Seconds
    min_samples: Count
    max_error_bp: BasisPoints
    deadline: Instant


class Control(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="type", tag="control"
):
    """All orders in force for the fleet, and what the fleet has learned about manifests.

    Attributes:
        seq: Grows by one at every write of the head.
        cseq: Grows by one at every operator's command.
        orders: Component name to its orders.
        gone: ``domain/key|tenant or *|gate or use`` to the command that removed it; ``gone_floor`` is the highest
            command that has been forgotten.
        ring: ``[operation id, cseq]`` of the last commands, oldest first.
    """

    spec_version: Number
    epoch: Number
    audience: Audience
    seq: Number
    cseq: Count
    signed_at: Instant
    expires: Instant
    release: AdoptedRelease
    good: Annotated[tuple[Good, ...], Meta(max_length=2)] = ()
    bad: tuple[Bad, ...] = ()
    orders: dict[ComponentName, tuple[Order, ...]] = {}
    gone: Annotated[dict[str, Count], Meta(max_length=MAX_GONE)] = {}
    gone_floor: Count = 0
    rollouts: dict[str, Rollout] = {}
    ring: Annotated[tuple[tuple[Text, Count], ...], Meta(max_length=MAX_RING)] = ()


# --- envelope and head ---


class Signature(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One signature in base64; ``keyid`` is a hint only and may be absent."""

    sig: Annotated[str, Meta(max_length=256)]
    keyid: Annotated[str, Meta(max_length=256)] = ""


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """DSSE: a payload in base64, its type, and signatures over both."""

    payload: str
    payload_type: Annotated[str, Meta(max_length=256)]
    signatures: tuple[Signature, ...]


class PlainEnvelope(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """The same, with a payload in padded base64 of the standard alphabet."""

    payload: bytes
    payload_type: Annotated[str, Meta(max_length=256)]
    signatures: tuple[Signature, ...]


class Head(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The one mutable object: the adopted release and the control document, each in its envelope, byte for byte."""

    release: Raw
    control: Raw


Document: TypeAlias = Root | Manifest | Release | Control


def tag_of(kind: type[Struct]) -> str:
    """Return the word that a kind of document writes as its ``type``; it is also the name of the role that signs it."""
    return str(kind.__struct_config__.tag)


def payload_type(kind: type[Struct]) -> str:
    """Return the DSSE payload type under which a kind of document is signed."""
    return f"application/vnd.pointsman.{tag_of(kind)}+json"
