from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointsman import Settings
from pointsman.errors import ConfigurationError
from pointsman.web.admin.settings import AdminSettings, Authenticator

DIGEST = "a" * 64


def section(**admin: Any) -> AdminSettings:
    return Settings.load(environ={}, admin=admin).section(AdminSettings)


def of(**fields: Any) -> Any:
    return section(authenticators=[fields]).authenticators[0]


def test_without_a_word_there_are_no_routes() -> None:
    assert section().authenticators == ()
    assert section().path == "/admin"


def test_the_sample_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "app.yml").write_text(
        """
admin:
  authenticators:
    - {token_sha256: "${secret:OPERATOR_TOKEN_SHA256}", role: operator}
    - identity: google
      audience: https://notebook.example
      operators: [oncall@example.com]
      viewers: ["*@example.com"]
    - identity: corporate
      header: X-Corporate-Token
      claim: groups
      operators: [sre]
"""
    )
    token, google, corporate = Settings.load(tmp_path, environ={}).section(AdminSettings).authenticators
    assert token == Authenticator(token_sha256="${secret:OPERATOR_TOKEN_SHA256}", role="operator")
    assert (google.header, google.claim, google.viewers) == ("Authorization", "email", ("*@example.com",))
    assert corporate == Authenticator(
        identity="corporate", header="X-Corporate-Token", claim="groups", operators=("sre",)
    )


def test_variables_are_filled_in_everywhere_and_a_digest_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "/ops")
    monkeypatch.setenv("AUD", "https://words.example")
    found = section(
        path="${env:WHERE}",
        authenticators=[
            {"token_sha256": "${env:LATER}"},
            {"identity": "google", "audience": "${env:AUD}", "operators": ["a@words.example"]},
        ],
    )
    token, google = found.authenticators
    assert found.path == "/ops"
    assert token.token_sha256 == "${env:LATER}"
    assert google.audience == "https://words.example"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"token_sha256": "hunter2-hunter2"}, "64 hex digits"),
        ({"token_sha256": "${tenant}"}, "no blank but"),
        ({"token_sha256": DIGEST, "role": "root"}, "role"),
        ({"token_sha256": DIGEST, "operators": ["x"]}, "operators"),
        ({"role": "operator"}, "one of them"),
        ({"identity": "google"}, "nobody could come in"),
        ({"identity": "google", "operators": [""]}, "operators"),
        ({"identity": "google", "operators": ["x"], "audience": "${secret:AUDIENCE}"}, "no blank but"),
        ({"identity": "google", "operators": ["x"], "header": "X-Serverless-Authorization"}, "proves nothing"),
        ({"identity": "google", "operators": ["x"], "header": "X-Goog-Authenticated-User-Email"}, "proves nothing"),
        ({"identity": "google", "token_sha256": DIGEST, "operators": ["x"]}, "one of them"),
        ({"token_sha256": DIGEST, "name": "eve\n"}, "name"),
        ("google", "authenticators"),
    ],
)
def test_an_authenticator_that_could_let_in_nobody_or_anybody_stops_the_start(fields: Any, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        section(authenticators=[fields])
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "admin"},
        {"path": "/"},
        {"path": "/admin/"},
        {"path": "//admin"},
        {"path": "/health"},
        {"path": "/health/live"},
        {"allowed_origins": ["console.example"]},
        {"allowed_origins": ["https://console.example/path"]},
        {"max_body_bytes": 0},
        {"colour": "red"},
    ],
)
def test_what_cannot_be_served_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        section(**fields)


def test_a_digest_is_not_shown() -> None:
    assert DIGEST not in repr(of(token_sha256=DIGEST))
    assert of(token_sha256=DIGEST.upper()).token_sha256 == DIGEST.upper()


def test_a_section_may_be_handed_in_as_a_model() -> None:
    given = AdminSettings(authenticators=(Authenticator(token_sha256=DIGEST),))
    assert Settings.load(environ={}, admin=given).section(AdminSettings) == given
