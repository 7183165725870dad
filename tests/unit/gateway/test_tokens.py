"""Which tokens are believed, and what they say: of a provider, and those that a key was exchanged for."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

from contracts.api_keys import ApiKey, Scope
from contracts.settings_source import ConfigurationError
from contracts.token_settings import TokenSettings
from gateway.tokens import Mint, SignersUnknownError, SigningKeys, Verifier
from gateway.tokens.jwks import MOST_BYTES, JwksFailedError, keys_of

SECRET = "s" * 64
ISSUER = "https://login.example/"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
KEY = ApiKey(
    id="k3v5q2w7y4z6abcd", name="x", tenant="acme", scopes=(Scope.QUERY, Scope.READ), digest="0" * 64, principal="ada"
)


def jwk(algorithm: Any, key: Any, **members: str) -> dict[str, Any]:
    return {**json.loads(algorithm.to_jwk(key.public_key())), **members}


PUBLIC = [
    jwk(RSAAlgorithm, RSA, kid="rsa", alg="RS256", use="sig"),
    jwk(ECAlgorithm, EC, kid="ec", alg="ES256"),
    jwk(OKPAlgorithm, ED, kid="ed"),
    jwk(RSAAlgorithm, OTHER_RSA, kid="for-encryption", use="enc"),
    {**json.loads(HMACAlgorithm.to_jwk(SECRET)), "kid": "shared", "alg": "HS256"},
    {"kty": "nonsense", "kid": "odd"},
    {"kty": "RSA", "kid": "half"},
    {"kty": "oct", "kid": "empty"},
    {"kty": "oct", "kid": "none", "alg": "none", "k": "eA"},
    {**jwk(ECAlgorithm, EC), "kid": "confused", "alg": "RS256"},
]
PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": "waggle", "sub": "ada", "tenant": "acme", "scope": "query read", "exp": now + 60}
    return {name: value for name, value in {**usual, "iat": now, **changes}.items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "rsa", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={} if kid is None else {"kid": kid})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "jwks.json"
    write(made, *PUBLIC)
    return made


def write(file: Path, *keys: dict[str, Any]) -> None:
    """Without keys: there is no such file."""
    if keys:
        file.write_text(json.dumps({"keys": keys}), encoding="utf-8")
    else:
        file.unlink()


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


def unsigned() -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=").decode()
    return f"{head}.{body}."


def confused() -> str:
    """HS256 with the public key of a provider as the secret."""
    import hashlib
    import hmac

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    signed = f"{part(json.dumps({'alg': 'HS256', 'kid': 'rsa'}).encode())}.{part(json.dumps(claims()).encode())}"
    return f"{signed}.{part(hmac.new(PEM, signed.encode(), hashlib.sha256).digest())}"


def tampered() -> str:
    head, _, signature = token().split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(tenant="other")).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


NOW = int(time.time())
HOSTILE = {
    "alg none": unsigned(),
    "algorithm confusion": confused(),
    "tampered": tampered(),
    "another's key": token(OTHER_RSA),
    "another key type": token(EC, "ES256", "rsa"),
    "an algorithm that the key is not for": token(RSA, "PS256", "rsa"),
    "signed by a key for encryption": token(OTHER_RSA, "RS256", "for-encryption"),
    "wrong secret": token("t" * 64, "HS256", None),
    "a shared secret of the set": token(SECRET, "HS384", "shared"),
    "wrong audience": token(aud="others"),
    "audience among others that ours is not": token(aud=["a", "b"]),
    "no audience": token(aud=None),
    "wrong issuer": token(iss="https://evil.example/"),
    "no issuer": token(iss=None),
    "expired": token(exp=NOW - 31),
    "no end": token(exp=None),
    "not yet valid": token(nbf=NOW + 3600),
    "issued in the future": token(iat=NOW + 3600),
    "no subject": token(sub=None),
    "a subject that is none": token(sub="a\nb"),
    "a long subject": token(sub="a" * 201),
    "no tenant": token(tenant=None),
    "a tenant with wildcards": token(tenant="*"),
    "a tenant with a dot": token(tenant="a.b"),
    "a tenant that is a list": token(tenant=["acme"]),
    "no key id": token(kid=None),
    "a key id that nobody knows": token(kid="nobody"),
    "a key id that is a path": token(kid="../../etc/passwd"),
    "a key id of code": token(kid="' OR 1=1 --"),
    "a megabyte": "a" * 1_000_000,
    "a megabyte of claims": token(padding="a" * 1_000_000),
    "nothing": "",
    "dots": "..",
    "no base64": "é.é.é",
    "deep JSON": base64.urlsafe_b64encode(b'{"a":' * 2000 + b"1" + b"}" * 2000).decode() + ".e30.e30",
    "a list as head": base64.urlsafe_b64encode(b"[]").decode().rstrip("=") + ".e30.e30",
}


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


class TestKeySets:
    def test_only_public_keys_that_sign_and_have_an_id_are_taken(self) -> None:
        assert set(keys_of(json.dumps({"keys": PUBLIC}).encode())) == {"rsa", "ec", "ed"}

    @pytest.mark.parametrize(
        "text", [b"", b"[]", b"{}", b'{"keys": 7}', b"\xff", b"[" * 100_000, b" " * (MOST_BYTES + 1)]
    )
    def test_what_is_no_key_set_is_refused(self, text: bytes) -> None:
        with pytest.raises(JwksFailedError):
            keys_of(text)

    async def test_a_key_that_is_rotated_in_is_known_at_once_and_names_made_up_are_not_fetched(
        self, file: Path
    ) -> None:
        clock = [100.0]
        keys = SigningKeys(str(file), now=lambda: clock[0])
        assert await keys.find("rsa") is not None
        write(file, jwk(RSAAlgorithm, OTHER_RSA, kid="new"))

        assert await keys.find("new") is None  # they were read just now
        clock[0] += 31
        assert await keys.find("new") is not None
        assert await keys.find("rsa") is None

    async def test_who_asks_while_they_are_read_waits(self) -> None:
        answered, go_on = 0, asyncio.Event()

        async def handle(_: httpx.Request) -> httpx.Response:
            nonlocal answered
            await go_on.wait()
            answered += 1
            return httpx.Response(200, json={"keys": PUBLIC})

        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
            keys = SigningKeys("https://login.example/jwks", client=client)
            asking = [asyncio.create_task(keys.find("rsa")) for _ in range(3)]
            await asyncio.sleep(0)
            go_on.set()
            assert all(await asyncio.gather(*asking))
        assert answered == 1

    async def test_before_they_were_ever_read_nothing_is_known_of_any_token(self, verifier: Make, file: Path) -> None:
        write(file)

        with pytest.raises(SignersUnknownError):
            await verifier().believed(token())

    async def test_what_was_known_goes_on_while_they_cannot_be_read(self, file: Path) -> None:
        clock = [100.0]
        keys = SigningKeys(str(file), now=lambda: clock[0])
        assert await keys.find("rsa") is not None
        write(file)
        clock[0] += 31

        assert await keys.find("nobody") is None
        assert await keys.find("rsa") is not None

    @pytest.mark.parametrize("status", [301, 404, 500])
    async def test_a_url_that_does_not_give_them_is_not_followed(self, status: int) -> None:
        asked = []

        def handle(request: httpx.Request) -> httpx.Response:
            asked.append(str(request.url))
            return httpx.Response(status, headers={"Location": "http://169.254.169.254/"})

        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
            keys = SigningKeys("https://login.example/jwks", client=client)
            for _ in range(2):
                with pytest.raises(SignersUnknownError):
                    await keys.find("rsa")
        assert asked == ["https://login.example/jwks"]

    async def test_a_url_that_gives_without_end_is_given_up(self) -> None:
        async def endless():
            while True:
                yield b" " * 65_536

        async with httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
        ) as client:
            with pytest.raises(SignersUnknownError):
                await SigningKeys("https://login.example/jwks", client=client).find("rsa")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"JWT_SECRET": "short"}, "32 bytes"),
        ({"JWT_JWKS": "http://login.example/jwks"}, "https"),
        ({"JWT_JWKS": "https://login.example/jwks"}, "WAGGLE_JWT_ISSUER"),
        ({"JWT_SCOPES": "users"}, "value=scope"),
        ({"JWT_SCOPES": "users=root"}, "no scopes"),
        ({"JWT_ISSUER": "waggle:keys"}, "exchanged"),
        ({"JWT_LEEWAY_S": "3600"}, "less than or equal"),
    ],
)
def test_settings_that_believe_too_much_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"WAGGLE_{name}", value)

    with pytest.raises(ConfigurationError, match=named):
        TokenSettings.load()
