"""Tokens of an identity provider, its keys, and all that is no token of anybody's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

DAY_S = 86_400
"""What is made here is used much later: that a token is over by then must not be why it is not believed."""
SECRET = "s" * 64
ISSUER = "https://login.example/"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


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
    usual = {"iss": ISSUER, "aud": "waggle", "sub": "ada", "tenant": "acme", "scope": "query read", "exp": now + DAY_S}
    return {name: value for name, value in {**usual, "iat": now, **changes}.items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "rsa", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={} if kid is None else {"kid": kid})


def write(file: Path, *keys: dict[str, Any]) -> None:
    """At one stroke, whoever reads it meanwhile. Without keys: there is no such file."""
    if keys:
        written = file.with_suffix(".new")
        written.write_text(json.dumps({"keys": keys}), encoding="utf-8")
        written.replace(file)
    else:
        file.unlink()


def unsigned() -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=").decode()
    return f"{head}.{body}."


def confused() -> str:
    """HS256 with the public key of a provider as the secret."""

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
    "not yet valid": token(nbf=NOW + DAY_S),
    "issued in the future": token(iat=NOW + DAY_S),
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
