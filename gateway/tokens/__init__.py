"""JSON Web Tokens in place of API keys: those of an identity provider, and those that a key was exchanged for."""

from gateway.tokens.jwks import JwksFailedError, SignersUnknownError, SigningKeys
from gateway.tokens.minting import Mint, Minted
from gateway.tokens.verifying import Verifier

__all__ = ["JwksFailedError", "Mint", "Minted", "SignersUnknownError", "SigningKeys", "Verifier"]
