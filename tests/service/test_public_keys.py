"""PublicKeys: a token is checked by the algorithm of its key, whatever the token says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import replaylab as rl
from replaylab.errors import FeedRefused, ServiceError, TokenRefused
from replaylab.service.public_keys import PublicKeys, keys_of
from replaylab.service.tokens import Tokens
from tests.service.test_server import by_websocket

NOW = 2_000_000_000.0
CLAIMS = {"exp": int(NOW) + 60, "aud": "replaylab"}
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
KINDS: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def pem(key: Any) -> bytes:
    """The public key as text."""
    found: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return found


def jwk(name: str, kid: str | None = None, **more: Any) -> dict[str, Any]:
    """The public key as a JSON Web Key."""
    made: dict[str, Any] = jwt.get_algorithm_by_name(name).to_jwk(KINDS[name].public_key(), as_dict=True)
    return made | ({} if kid is None else {"kid": kid}) | more


def tokens(source: Path, content: bytes) -> Tokens:
    """Tokens that are checked with a file."""
    source.write_bytes(content)
    return Tokens(keys=PublicKeys(source), now=lambda: NOW)


@pytest.mark.parametrize("name", KINDS)
def test_a_pem_checks_tokens_of_its_kind(tmp_path: Path, name: str) -> None:
    """A token that is signed with the private key is good; of the others none is."""
    found = tokens(tmp_path / "key.pem", pem(KINDS[name]))
    assert found.check(jwt.encode(CLAIMS, KINDS[name], algorithm=name)) == NOW + 60
    for other, key in KINDS.items():
        if other != name:
            with pytest.raises(TokenRefused):
                found.check(jwt.encode(CLAIMS, key, algorithm=other))
    with pytest.raises(TokenRefused, match="private key"):
        found.issue(60)


def test_the_token_does_not_choose_the_algorithm(tmp_path: Path) -> None:
    """A public key is no secret: a token signed with it is not good, nor one that is unsigned."""
    found = tokens(tmp_path / "key.pem", pem(RSA))
    head, body = ({"alg": "HS256", "typ": "JWT"}, CLAIMS)
    import base64
    import hashlib
    import hmac

    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in (head, body)]
    sign = hmac.new(pem(RSA), b".".join(parts), hashlib.sha256).digest()
    forged = b".".join([*parts, base64.urlsafe_b64encode(sign).rstrip(b"=")]).decode()
    unsigned = jwt.encode(CLAIMS, "", algorithm="none")
    for token in (forged, unsigned, jwt.encode(CLAIMS, RSA, algorithm="PS256"), None, "a.b.c"):
        with pytest.raises(TokenRefused, match="no valid token"):
            found.check(token)


def test_keys_are_chosen_by_their_id(tmp_path: Path) -> None:
    """Of several keys the `kid` of a token names one; without it, or with another, there is none."""
    told = {"keys": [jwk("RS256", "one"), jwk("ES256", "two"), {"kty": "oct", "k": "c2VjcmV0", "kid": "three"}]}
    found = tokens(tmp_path / "keys.json", json.dumps(told).encode())
    assert found.check(jwt.encode(CLAIMS, RSA, algorithm="RS256", headers={"kid": "one"}))
    assert found.check(jwt.encode(CLAIMS, EC, algorithm="ES256", headers={"kid": "two"}))
    bad: list[tuple[Any, str, str | None]] = [
        (RSA, "RS256", "two"),
        (RSA, "RS256", "four"),
        (RSA, "RS256", None),
        ("secret" * 8, "HS256", "three"),
    ]
    for key, name, kid in bad:
        headers = {} if kid is None else {"kid": kid}
        with pytest.raises(TokenRefused):
            found.check(jwt.encode(CLAIMS, key, algorithm=name, headers=headers))


PRIVATE = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
WEAK = rsa.generate_private_key(65537, 1024).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PRIVATE, "private key"),
        (WEAK, "1024 bits"),
        (b"", "neither"),
        (b"[]", "neither"),
        (b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', "no public key"),
        (json.dumps(jwt.get_algorithm_by_name("ES256").to_jwk(EC, as_dict=True)).encode(), "private key"),
    ],
    ids=["private", "weak", "empty", "list", "secret", "private-jwk"],
)
def test_what_is_no_public_key_is_named(content: bytes, message: str) -> None:
    """A private key, a weak one, a secret and nothing at all are refused at the start, with the name of the file."""
    with pytest.raises(ServiceError, match=message) as refused:
        keys_of(content, "keys.json")
    assert "keys.json" in str(refused.value)


def test_an_address_is_read_again_for_a_key_that_is_not_known() -> None:
    """A key that is not known is looked for once a minute; a look that fails changes nothing."""
    at = [0.0]
    served: list[bytes | None] = [json.dumps({"keys": [jwk("RS256", "one")]}).encode()]
    asked: list[str] = []

    def read(source: str) -> bytes:
        asked.append(source)
        if served[0] is None:
            raise ServiceError("down")
        return served[0]

    keys = PublicKeys("https://issuer.example/keys?x=secret", now=lambda: at[0], read=read)
    found = Tokens(keys=keys, now=lambda: NOW)
    old = jwt.encode(CLAIMS, RSA, algorithm="RS256", headers={"kid": "one"})
    new = jwt.encode(CLAIMS, EC, algorithm="ES256", headers={"kid": "two"})
    assert asyncio.run(found.checked(old))
    served[0] = None
    at[0] = 61.0
    with pytest.raises(TokenRefused):
        asyncio.run(found.checked(new))
    served[0] = json.dumps({"keys": [jwk("RS256", "one"), jwk("ES256", "two")]}).encode()
    with pytest.raises(TokenRefused):
        asyncio.run(found.checked(new))
    assert asyncio.run(found.checked(old))
    assert len(asked) == 2
    at[0] = 122.0
    assert asyncio.run(found.checked(new))
    assert len(asked) == 3
    assert "secret" not in repr(keys)


def test_keys_are_fetched_safely() -> None:
    """Keys that anybody on the way could exchange are not fetched."""
    with pytest.raises(ServiceError, match="https alone"):
        PublicKeys("http://issuer.example/keys")
    with pytest.raises(ServiceError, match=r"http://127\.0\.0\.1:9/keys: the keys cannot be fetched"):
        PublicKeys("http://127.0.0.1:9/keys")
    with pytest.raises(ServiceError, match="cannot be read"):
        PublicKeys("no-such-file.pem")


def test_a_served_store_takes_keys(tmp_path: Path) -> None:
    """With keys in place of a secret a client needs a token of the private key."""
    (tmp_path / "key.pem").write_bytes(pem(ED))
    rl.simulate(tmp_path / "recordings", games=1, seed=3)
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    claims = {"exp": 4_000_000_000, "aud": "replaylab"}
    with rl.serve(tmp_path / "store", pacing="none", keys=tmp_path / "key.pem") as server:
        assert by_websocket(server.url + "?from=start", token=jwt.encode(claims, ED, algorithm="EdDSA"))[0]
        with pytest.raises(FeedRefused):
            by_websocket(server.url + "?from=start", token=jwt.encode(claims, "x" * 32, algorithm="HS256"))
    with pytest.raises(TokenRefused, match="one of the two"):
        rl.serve(tmp_path / "store", secret="x" * 32, keys=tmp_path / "key.pem")
