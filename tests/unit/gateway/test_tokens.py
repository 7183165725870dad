"""Which tokens are believed, and what they say: of a provider, and those that a key was exchanged for."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.api_keys import ApiKey, Scope
from contracts.settings_source import ConfigurationError
from contracts.token_settings import TokenSettings
from gateway.tokens import Mint, SignersUnknownError, SigningKeys, Verifier
from tests.support.tokens import EC, ED, HOSTILE, ISSUER, PUBLIC, RSA, SECRET, token, write

KEY = ApiKey(
    id="k3v5q2w7y4z6abcd", name="x", tenant="acme", scopes=(Scope.QUERY, Scope.READ), digest="0" * 64, principal="ada"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "jwks.json"
    write(made, *PUBLIC)
    return made


@pytest.fixture
def settings(file: Path) -> TokenSettings:
    return TokenSettings(jwt_secret=SECRET, jwt_jwks=str(file), jwt_issuer=ISSUER)  # type: ignore[arg-type]


Make = Callable[..., Verifier]


@pytest.fixture
def verifier(settings: TokenSettings, file: Path) -> Make:
    def make(key: ApiKey | None = KEY, **changes: Any) -> Verifier:
        return Verifier(
            settings.model_copy(update=changes),
            keys=SigningKeys(str(file)),
            key_in_force=lambda wanted: key if key is not None and wanted == key.id else None,
        )

    return make


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed")])
async def test_a_providers_token_says_who_it_is_for(verifier: Make, key: Any, algorithm: str, kid: str) -> None:
    found = await verifier().believed(token(key, algorithm, kid))

    assert found == ("acme", "jwt:ada", frozenset({Scope.QUERY, Scope.READ}))


async def test_a_token_with_the_shared_secret_is_one_too(verifier: Make) -> None:
    assert await verifier().believed(token(SECRET, "HS256", None)) == (
        "acme",
        "jwt:ada",
        frozenset({Scope.QUERY, Scope.READ}),
    )


@pytest.mark.parametrize("shown", HOSTILE.values(), ids=HOSTILE.keys())
async def test_nothing_else_is_believed(verifier: Make, shown: str) -> None:
    assert await verifier().believed(shown) is None


async def test_a_key_id_that_is_no_text_is_not_believed(verifier: Make) -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":7}').rstrip(b"=").decode()

    assert await verifier().believed(f"{head}.{token().split('.', 1)[1]}") is None


async def test_without_a_secret_or_keys_their_tokens_are_not_believed(verifier: Make, settings: TokenSettings) -> None:
    assert await verifier(jwt_secret=None).believed(token(SECRET, "HS256", None)) is None
    nobody = Verifier(settings, keys=None, key_in_force=lambda _: None)
    assert await nobody.believed(token()) is None


async def test_clocks_may_differ_by_the_leeway(verifier: Make) -> None:
    late = token(exp=int(time.time()) - 20)

    assert await verifier().believed(late) is not None
    assert await verifier(jwt_leeway_s=5).believed(late) is None


async def test_claims_are_named_and_mean_what_the_settings_say(verifier: Make) -> None:
    changed = verifier(
        jwt_tenant_claim="org_id", jwt_scope_claim="groups", jwt_scopes="rag-users=query+read, https://a/b=c = ops"
    )

    found = await changed.believed(token(org_id="acme", groups=["rag-users", "https://a/b=c", "admin", 7]))

    assert found == ("acme", "jwt:ada", frozenset({Scope.QUERY, Scope.READ, Scope.OPS}))


async def test_scopes_that_nobody_knows_allow_nothing(verifier: Make) -> None:
    assert await verifier().believed(token(scope="root everything")) == ("acme", "jwt:ada", frozenset())
    assert await verifier().believed(token(scope=None)) == ("acme", "jwt:ada", frozenset())


async def test_before_they_were_ever_read_nothing_is_known_of_any_token(verifier: Make, file: Path) -> None:
    write(file)

    with pytest.raises(SignersUnknownError):
        await verifier().believed(token())


class TestExchanged:
    def minted(self, key: ApiKey = KEY, *scopes: Scope, lasting: float = 60) -> str:
        mint = Mint(SECRET, audience="waggle")
        wanted = scopes or tuple(key.allows)
        return mint.exchange(key, scopes=wanted, lasting=timedelta(seconds=lasting), now=datetime.now(UTC)).token

    async def test_it_says_what_the_key_says(self, verifier: Make) -> None:
        assert await verifier().believed(self.minted()) == (
            "acme",
            f"key:{KEY.id}",
            frozenset({Scope.QUERY, Scope.READ}),
        )

    async def test_it_may_allow_less_and_never_more(self, verifier: Make) -> None:
        assert await verifier().believed(self.minted(KEY, Scope.READ, Scope.ADMIN)) == (
            "acme",
            f"key:{KEY.id}",
            frozenset({Scope.READ}),
        )

    async def test_it_ends_with_the_key(self, verifier: Make) -> None:
        shown = self.minted()

        assert await verifier(key=None).believed(shown) is None

    async def test_it_allows_what_the_key_allows_now(self, verifier: Make) -> None:
        admin = KEY.model_copy(update={"scopes": (Scope.ADMIN,)})
        shown = self.minted(admin, Scope.READ, Scope.INGEST)

        assert await verifier(key=admin).believed(shown) == (
            "acme",
            f"key:{KEY.id}",
            frozenset({Scope.READ, Scope.INGEST}),
        )
        assert await verifier(key=KEY).believed(shown) == ("acme", f"key:{KEY.id}", frozenset({Scope.READ}))

    async def test_it_lasts_an_hour_at_most_and_no_longer_than_the_key(self) -> None:
        mint, now = Mint(SECRET, audience="waggle"), datetime.now(UTC)
        short = KEY.model_copy(update={"expires_at": now + timedelta(seconds=5)})

        assert mint.exchange(
            KEY, scopes=[Scope.READ], lasting=timedelta(days=1), now=now
        ).expires_at == now + timedelta(hours=1)
        assert (
            mint.exchange(short, scopes=[Scope.READ], lasting=timedelta(hours=1), now=now).expires_at
            == short.expires_at
        )

    async def test_it_has_no_leeway(self, verifier: Make) -> None:
        mint, now = Mint(SECRET, audience="waggle"), datetime.now(UTC) - timedelta(seconds=70)
        late = mint.exchange(KEY, scopes=[Scope.READ], lasting=timedelta(seconds=60), now=now).token

        assert await verifier().believed(late) is None

    async def test_nobody_else_signs_such(self, verifier: Make) -> None:
        forged = token(iss="waggle:keys", waggle_key=KEY.id)

        assert await verifier().believed(forged) is None
        assert SECRET not in repr(Mint(SECRET, audience="waggle"))


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"JWT_SECRET": "short"}, "32 bytes"),
        ({"JWT_JWKS": "http://login.example/jwks"}, "https"),
        ({"JWT_JWKS": "https://login.example/jwks"}, "WAGGLE_JWT_ISSUER"),
        ({"JWT_SCOPES": "users"}, "value=scope"),
        ({"JWT_SCOPES": "users=root"}, "no scopes"),
        ({"JWT_ISSUER": "waggle:keys"}, "exchanged"),
        ({"JWT_LEEWAY_S": "61"}, "less than or equal to 60"),
    ],
)
def test_settings_that_believe_too_much_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"WAGGLE_{name}", value)

    with pytest.raises(ConfigurationError, match=named):
        TokenSettings.load()
