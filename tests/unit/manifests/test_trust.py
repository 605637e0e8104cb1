from __future__ import annotations

from datetime import timedelta

import pytest

from pointsman.errors import ConfigurationError, NotYetValid
from pointsman.manifests.canonical import encode
from pointsman.manifests.limits import Limits
from pointsman.manifests.schema import Audience
from pointsman.manifests.trust import establish_trust
from pointsman.manifests.verification import encode_head, verify_head
from tests.forge import AUDIENCE, NOW, Forge

FORGE = Forge()
DEVELOPMENT = Audience("notebook", "development")


def test_trust_is_for_the_roots_own_audience() -> None:
    assert FORGE.trust.require_root() == FORGE.trust_root
    assert not FORGE.trust.unsigned
    with pytest.raises(ConfigurationError, match="for Audience"):
        establish_trust(FORGE.trust_root, Audience("notebook", "staging"), {})


def test_there_is_no_trust_by_default() -> None:
    for environment in ("", "production", "Development"):
        with pytest.raises(ConfigurationError, match="trust root"):
            establish_trust(None, Audience("notebook", environment), {})


def test_development_is_refused_on_cloud_run_even_with_a_root() -> None:
    forge = Forge(audience=DEVELOPMENT)
    for root in (None, forge.trust_root):
        with pytest.raises(ConfigurationError, match="K_SERVICE"):
            establish_trust(root, DEVELOPMENT, {"K_SERVICE": ""})
        assert establish_trust(root, DEVELOPMENT, {}).unsigned


def test_production_runs_on_cloud_run() -> None:
    assert establish_trust(FORGE.trust_root, AUDIENCE, {"K_SERVICE": "notebook"}).root == FORGE.trust_root


def test_no_time_is_before_the_images_root() -> None:
    anchor = FORGE.root().issued_at
    trust = establish_trust(FORGE.trust_root, AUDIENCE, {}, Limits(clock_skew_s=10))
    assert trust.now(NOW) == NOW
    assert trust.now(anchor - timedelta(seconds=10)) == anchor
    with pytest.raises(NotYetValid):
        trust.now(anchor - timedelta(seconds=11))


def test_in_development_a_whole_head_may_be_unsigned() -> None:
    forge = Forge(audience=DEVELOPMENT)
    trust = establish_trust(None, DEVELOPMENT, {})
    release = forge.believed_release()
    head = encode_head(encode(forge.release()), encode(forge.control(release)))
    verified = verify_head(head, trust, NOW)
    assert verified.control.signers == verified.release.signers == ()
    assert trust.now(NOW) == NOW
