"""The identity providers of the image: who verifies operators' tokens, whatever a manifest or a command says.

Trust must not come from what it guards. So a provider, and all that it stands on, is resolved in a catalog of what
code, entry points and settings say, and lives apart from what serves requests: no manifest brings it, no order replaces
it or what is beneath it, and no pause locks out the operator who would end it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, cast

import anyio.to_thread

from pointsman.adapters.identity.protocol import IDENTITY, Claims, Identity
from pointsman.errors import ConfigurationError, ProviderTimeout, ResolutionError
from pointsman.lifecycle.manager import LifecycleManager
from pointsman.resolution.catalog import Candidates, Catalog, registrations_of
from pointsman.resolution.contribution import Source
from pointsman.resolution.decision import Question
from pointsman.resolution.reference import load_reference
from pointsman.resolution.resolver import Resolver, resolve_in

if TYPE_CHECKING:
    from pointsman.resolution.contribution import ProviderValues
    from pointsman.runtime.inputs import Inputs
    from pointsman.runtime.runtime import Runtime


class ImageIdentities:
    """Verifies tokens by the image's providers; concurrent requests share one, and whoever made it closes it.

    Args:
        runtime: Brings what the image says, secrets and limits; its own instances are never used.
        audiences: Provider to the audiences that it is told, where its settings take one and name none.
        timeout_s: For the verification of one token.

    Raises:
        ConfigurationError: A provider is none of the image's, or may not serve here.
    """

    def __init__(self, runtime: Runtime, audiences: Mapping[str, tuple[str, ...]], timeout_s: float) -> None:
        self._runtime = runtime
        self._audiences = audiences
        self._timeout_s = timeout_s
        self._inputs: Inputs | None = None
        self._turn = anyio.Lock()
        self._resolver = Resolver(environment=runtime.resolver.environment, stack_order="")
        self._resolver.show(self._catalog(runtime.points.inputs, {}))
        self._lifecycle = LifecycleManager(
            self._resolver, limits=runtime.lifecycle.limits, surroundings=runtime.lifecycle.surroundings
        )
        for provider in audiences:
            self._check(provider)

    async def verify(self, provider: str, token: str) -> Claims:
        """Return what a token proves to a provider.

        Raises:
            IdentityError: Nothing (401), or not enough (403).
            ProviderTimeout: It took too long.
            PointsmanError: The provider cannot be had, or cannot verify now.
        """
        await self._follow()
        with closing(self._lifecycle.lease()) as lease:
            try:
                with anyio.fail_after(self._timeout_s):
                    identity = cast("Identity", await lease.take(Question(IDENTITY, provider=provider)))
                    return await identity.verify_token(token)
            except TimeoutError as error:
                raise ProviderTimeout(
                    f"Expected {IDENTITY}={provider} to verify a token within {self._timeout_s:g} s."
                ) from error

    async def aclose(self) -> None:
        """Close every provider, and what it stands on."""
        await self._lifecycle.aclose()

    def _check(self, provider: str) -> None:
        try:
            resolve_in(self._resolver.catalog, Question(IDENTITY, provider=provider))
        except ResolutionError as error:
            raise ConfigurationError(f"admin.authenticators: {error.message}", hint=error.hint) from error

    async def _follow(self) -> None:
        """Take over what the image says now: code may have registered more, and a rotation makes settings anew."""
        if self._is_followed():
            return
        async with self._turn:
            if self._is_followed():
                return
            now = self._runtime.points.inputs
            given = await anyio.to_thread.run_sync(self._given, now)
            self._resolver.show(self._catalog(now, given))
            self._inputs = now

    def _is_followed(self) -> bool:
        before, now = self._inputs, self._runtime.points.inputs
        return before is not None and all(getattr(before, name) is getattr(now, name) for name in _OF_THE_IMAGE)

    def _catalog(self, inputs: Inputs, given: ProviderValues) -> Catalog:
        groups = inputs.registrations, registrations_of(inputs.settings, Source.SETTINGS)
        return Catalog(
            serial=self._resolver.next_serial(),
            candidates=Candidates(groups, self._resolver.environment),
            settings=inputs.settings,
            given={**given, **inputs.given},
            replaced=inputs.replaced,
        )

    def _given(self, inputs: Inputs) -> ProviderValues:
        """Return the audience of each provider that takes one and is told none; may load its module."""
        told = inputs.settings.provider_settings.everyone
        return {
            (*IDENTITY, provider): {"audience": audiences}
            for provider, audiences in self._audiences.items()
            if audiences and "audience" not in told.get((*IDENTITY, provider), {}) and self._takes_one(provider)
        }

    def _takes_one(self, provider: str) -> bool:
        model = resolve_in(self._resolver.catalog, Question(IDENTITY, provider=provider)).candidate.settings_model
        loaded = load_reference(model) if isinstance(model, str) else model
        return "audience" in getattr(loaded, "model_fields", {})


_OF_THE_IMAGE = ("registrations", "settings", "given", "replaced")
