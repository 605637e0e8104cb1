"""Every error that Pointsman raises on purpose: one tree, drawn here.

    PointsmanError
    ├── ConfigurationError                    the start is refused until a file or a declaration changes
    │   └── MissingExtraError                 … and an optional package must be installed
    ├── InputError                            a caller sent what cannot be read
    │   ├── BodyTooLarge  UnsupportedMediaType
    ├── TenantError                           who asks is missing, malformed, unknown or contradicted
    ├── IdentityError                         a token proves nothing, or too little
    ├── ResolutionError                       no candidate can be named
    │   ├── UnknownComponent  UnknownProvider  NoEligibleCandidate
    ├── LifecycleError                        a candidate was named, but no instance can be had
    │   ├── ActivationFailed  HealthCheckFailed  ComponentPaused  ComponentDraining
    │   └── ComponentsClosed  CapacityExceeded  NoCatalog
    ├── ProviderError                         the outside world failed
    │   ├── ProviderUnavailable  ProviderTimeout
    ├── ManifestError                         a signed document was refused: one class a rule
    ├── StoreError                            NotFound  PreconditionFailed  Unavailable  Forbidden
    └── ControlError                          Conflict  Stale  ControlFull  OutcomeUnknown
                                              ReadOnlyReplica  OrderUnavailable  ManifestPending

Each class has a stable ``code`` (logs, problem documents, exit codes) and says whether a retry may help. The message
says what was expected, what was found, and ends in a hint that can be typed. Nothing here imports anything.
"""

from __future__ import annotations


class PointsmanError(Exception):
    """The root of the tree.

    Args:
        message: What was expected and what was found; one or more full sentences, never a secret's value.
        hint: What to do about it; printed on a line of its own.
        retry_after_s: When a retry may help, where that is known.
    """

    code: str = "pointsman-error"
    retryable: bool = False
    retry_after_s: float | None = None

    def __init__(self, message: str = "", *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def render(self) -> str:
        """Return the error as the shell prints it: class, code, message, hint."""
        return f"{type(self).__name__} [{self.code}]: {self}"


class ConfigurationError(PointsmanError):
    """A declaration, a settings file or the trust root is wrong; nothing starts until it is mended."""

    code = "configuration"

    def render(self) -> str:
        """Return the error as the shell prints it; the class name says all that the code would."""
        return f"{type(self).__name__}: {self}"


class MissingExtraError(ConfigurationError, ImportError):
    """A provider was chosen whose optional package is not installed.

    Args:
        extra: The extra of ``pointsman`` that installs it.
        wanted: Who needs it, e.g. ``adapter/cache=redis``.
    """

    code = "missing-extra"

    def __init__(self, extra: str, wanted: str, missing: str = "") -> None:
        found = f"; module {missing!r} was not found" if missing else ""
        super().__init__(
            f"{wanted} needs a package that is not installed{found}.",
            hint=f"pip install 'pointsman[{extra}]'",
        )
        self.extra = extra
        self._given = (extra, wanted, missing)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), self._given  # an exception is made anew from its arguments, which are not the message


class InputError(PointsmanError):
    """A request's path, query, header or body does not have the declared shape.

    Args:
        errors: One entry a field: ``{"in": "body", "pointer": "/title", "detail": …, "code": …}``; query, path and
            header fields carry ``name`` instead of ``pointer``.
    """

    code = "invalid-input"

    def __init__(self, message: str = "", *, errors: tuple[dict[str, str], ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errors = errors


class BodyTooLarge(InputError):
    """A body is over the cap, ``web.max_body_bytes``."""

    code = "body-too-large"


class UnsupportedMediaType(InputError):
    """A body is not declared to be JSON."""

    code = "unsupported-media-type"


class TenantError(PointsmanError):
    """Who asks is missing, malformed, unknown, or contradicts the verified claim.

    Args:
        status: 400 missing or malformed, 403 contradicted or not vouched for, 404 unknown.
    """

    code = "tenant"

    def __init__(self, message: str = "", *, status: int = 400, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class IdentityError(PointsmanError):
    """A token is missing, malformed, expired, or not for us.

    Args:
        status: 401 it proves nothing; 403 it is genuine, and proves someone who may not.
    """

    code = "unauthenticated"

    def __init__(self, message: str = "", *, status: int = 401, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ResolutionError(PointsmanError):
    """No candidate can be named for a component."""

    code = "resolution"


class UnknownComponent(ResolutionError):
    """Nothing is registered for a component."""

    code = "unknown-component"


class UnknownProvider(ResolutionError):
    """Candidates exist for the component, but none of the provider that was named."""

    code = "unknown-provider"


class NoEligibleCandidate(ResolutionError):
    """Candidates exist, and none may serve; ``explanation`` says why."""

    code = "no-eligible-candidate"

    def __init__(self, message: str = "", *, explanation: object = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.explanation = explanation


class LifecycleError(PointsmanError):
    """A candidate was named, but no instance of it can be had."""

    code = "lifecycle"


class ActivationFailed(LifecycleError):
    """A factory raised, hung, or what it stands on failed; remembered with a backoff."""

    code = "activation-failed"
    retryable = True
    retry_after_s = 1.0


class HealthCheckFailed(LifecycleError):
    """An instance was made, and says that it is not healthy."""

    code = "health-check-failed"
    retryable = True
    retry_after_s = 5.0


class ComponentPaused(LifecycleError):
    """An operator paused the component, or one that it stands on."""

    code = "component-paused"
    retryable = True
    retry_after_s: float = 5.0


class ComponentDraining(LifecycleError):
    """An operator drains the component; requests in flight finish, new ones do not start."""

    code = "component-draining"
    retryable = True
    retry_after_s: float = 5.0


class ComponentsClosed(LifecycleError):
    """A component was asked for after its request, task or script had ended."""

    code = "components-closed"


class CapacityExceeded(LifecycleError):
    """The cap on tenant instances is reached and all of them are leased."""

    code = "capacity"
    retryable = True
    retry_after_s = 1.0


class NoCatalog(LifecycleError):
    """Nothing stands to resolve from yet: the replica is starting, or has not reached its store."""

    code = "no-catalog"
    retryable = True
    retry_after_s = 1.0


class ProviderError(PointsmanError):
    """The outside world failed: a server, a vendor, a driver."""

    code = "provider"


class ProviderUnavailable(ProviderError):
    """The server refused, reset, or could not be reached."""

    code = "provider-unavailable"
    retryable = True
    retry_after_s = 1.0


class ProviderTimeout(ProviderError):
    """The server did not answer in time."""

    code = "provider-timeout"
    retryable = True
    retry_after_s = 1.0


class ManifestError(PointsmanError):
    """A signed document was refused; the manifest in force goes on serving."""

    code = "manifest"


class Unsigned(ManifestError):
    """The document carries no signature, or is no envelope."""

    code = "unsigned"


class BadSignature(ManifestError):
    """Fewer distinct keys of the role signed these bytes than the threshold asks."""

    code = "bad-signature"


class WrongType(ManifestError):
    """A right signature over another kind of document."""

    code = "wrong-type"


class Malformed(ManifestError):
    """The bytes are not the canonical form, or not of the declared shape."""

    code = "malformed"


class TooLarge(ManifestError):
    """A document is over its cap."""

    code = "too-large"


class UnsupportedVersion(ManifestError):
    """``spec_version`` is one that this build does not know."""

    code = "unsupported-spec-version"


class Rollback(ManifestError):
    """A version below the floor, or below the highest release seen."""

    code = "rollback"


class Equivocation(ManifestError):
    """One version with two different payloads: an alarm."""

    code = "equivocation"


class Expired(ManifestError):
    """The document is past its expiry, and past its grace where it has one."""

    code = "expired"


class NotYetValid(ManifestError):
    """The document was issued in the future beyond the tolerated skew, or our clock is behind."""

    code = "not-yet-valid"


class BadLifetime(ManifestError):
    """``expires`` lies before ``issued_at``, or further after it than is allowed."""

    code = "bad-lifetime"


class WrongAudience(ManifestError):
    """The document is for another service or environment."""

    code = "wrong-audience"


class WrongEpoch(ManifestError):
    """The document belongs to another epoch than the root in force."""

    code = "wrong-epoch"


class DigestMismatch(ManifestError):
    """Bytes differ in digest or length from what the release or the head names."""

    code = "digest-mismatch"


class UntrustedRoot(ManifestError):
    """A root is missing from the chain, or is not signed by both its predecessor and itself."""

    code = "untrusted-root"


class FactoryForbidden(ManifestError):
    """A factory, settings model, node or hook is outside of what this image lets a manifest name."""

    code = "factory-forbidden"


class DestinationForbidden(ManifestError):
    """A URL, host, DSN or path is outside of ``trust.destinations``."""

    code = "destination-forbidden"


class SecretForbidden(ManifestError):
    """A manifest names a secret, or the environment, where image settings did not grant it."""

    code = "secret-forbidden"


class ComponentForbidden(ManifestError):
    """A manifest speaks of a component that only the image may decide: where secrets come from, whom to believe."""

    code = "component-forbidden"


class ArtifactsDisabled(ManifestError):
    """A candidate carries an artifact; this build loads none."""

    code = "artifacts-disabled"


class DanglingSelection(ManifestError):
    """A selection would name a provider that nobody registers."""

    code = "dangling-selection"


class PreflightFailed(ManifestError):
    """A required component does not resolve, or a changed live instance does not warm, under the manifest."""

    code = "preflight-failed"


class Replayed(ManifestError):
    """The store wrote the head later than the head says it was signed: an old one put back."""

    code = "replayed-head"


class StoreError(PointsmanError):
    """Reading or writing an object failed."""

    code = "store"


class NotFound(StoreError):
    """There is no object of this name."""

    code = "store-not-found"


class PreconditionFailed(StoreError):
    """The object is not of the generation that the write was conditioned on."""

    code = "store-precondition-failed"


class Unavailable(StoreError):
    """The store did not answer, or answered that it cannot now; the outcome of a write is unknown.

    Args:
        sent: Whether the request may have reached the store.
    """

    code = "store-unavailable"
    retryable = True
    retry_after_s = 1.0

    def __init__(
        self, message: str = "", *, sent: bool = True, hint: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, hint=hint, retry_after_s=retry_after_s)
        self.sent = sent


class Forbidden(StoreError):
    """The store knows us and refuses; never read as an empty object."""

    code = "store-forbidden"


class ControlError(PointsmanError):
    """An operator's command was not carried out."""

    code = "control"


class Conflict(ControlError):
    """What the command touches was changed by another command meanwhile."""

    code = "conflict"


class Stale(ControlError):
    """The caller's ``If-Match`` is older than what the command touches."""

    code = "stale"


class ControlFull(ControlError):
    """The head has no room for another order."""

    code = "control-full"


class OutcomeUnknown(ControlError):
    """The command may have been applied: something was sent, no answer came. Retry under the same key."""

    code = "outcome-unknown"
    retryable = True
    retry_after_s = 1.0


class ReadOnlyReplica(ControlError):
    """This replica has no control key, or its store cannot be written."""

    code = "read-only-replica"


class OrderUnavailable(ControlError):
    """An order in force names a provider that the effective manifest lacks."""

    code = "order-unavailable"
    retryable = True
    retry_after_s = 5.0


class ManifestPending(ControlError):
    """This replica has not taken the manifest that the head names, so it cannot judge a swap for the fleet."""

    code = "manifest-pending"
    retryable = True
    retry_after_s = 5.0
