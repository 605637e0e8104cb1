"""Where a server listens, and who is let in on the loopback."""

from __future__ import annotations

import hashlib
import json
import socket

import pytest

from pointsman.cli.loopback import admin_section, loopback_operator, new_token
from pointsman.cli.server import LOOPBACK, listening, url_of
from pointsman.errors import ConfigurationError


def test_a_free_port_is_taken_and_named() -> None:
    with listening(LOOPBACK, 0) as bound:
        port = bound.getsockname()[1]
        assert url_of(bound) == f"http://127.0.0.1:{port}"


def test_a_port_that_is_taken_is_refused_or_left_for_another() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Expected to listen on 127.0.0.1:{port}"):
            listening(LOOPBACK, port)
        with listening(LOOPBACK, port, or_another=True) as other:
            assert other.getsockname()[1] != port


def test_every_address_is_reached_by_the_loopback() -> None:
    with listening("0.0.0.0", 0) as bound:
        assert url_of(bound).startswith("http://127.0.0.1:")


def test_only_the_digest_of_a_token_is_written_down() -> None:
    token = new_token()
    section = admin_section(token)
    assert token not in json.dumps(section)
    assert section["authenticators"][0]["token_sha256"] == hashlib.sha256(token.encode()).hexdigest()
    assert section["allowed_hosts"] == ["127.0.0.1", "localhost", "::1"]
    assert len(token) >= 43


def test_the_operator_of_the_loopback_is_gone_after_the_block() -> None:
    environ = {"POINTSMAN_ADMIN__ALLOWED_HOSTS": '["before"]', "OTHER": "stays"}
    with loopback_operator(environ, wanted=True) as token:
        assert token
        assert "token_sha256" in environ["POINTSMAN_ADMIN__AUTHENTICATORS"]
    assert environ == {"POINTSMAN_ADMIN__ALLOWED_HOSTS": '["before"]', "OTHER": "stays"}
    with loopback_operator(environ, wanted=False) as token:
        assert token == ""
        assert "POINTSMAN_ADMIN__AUTHENTICATORS" not in environ
