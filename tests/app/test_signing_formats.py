"""What `skerry sign` makes, field by field against the formats, and with the field's libraries."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from skerry.app.trust.signing_formats import Signer
from skerry.app.trust.signing_keys import NOTATION_CURVES, Kind, certify, load, make
from skerry.base.digest import Digest, digest_of
from skerry.base.errors import BadInput
from skerry.registry.operations import Verified
from skerry.trust.core import bundle, cosign, notation
from skerry.trust.core.keys import public_key
from skerry.trust.core.threshold import Claim, Format
from tests.trust.core.signed import certificate

MANIFEST = b'{"schemaVersion":2}'
IMAGE = digest_of(MANIFEST)
TYPE = "application/vnd.oci.image.manifest.v1+json"
HELD = Verified("local/app:1", str(IMAGE), "", True, media_type=TYPE, size_bytes=len(MANIFEST))
AT = float(int(time.time()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def signed(folder: Path, kind: Format, *, algorithm: Kind = Kind.ECDSA) -> tuple[Signer, bytes]:
    file = folder / "ann.key"
    make(file, algorithm, b"")
    chain = None
    if kind is Format.NOTATION:
        chain = folder / "ann.crt"
        certify(chain, load(file, b""), "ann", now=AT, days=30)
    signer = Signer.of(kind, file, b"", chain)
    made = signer.signed(HELD, repository="local/app", at=AT)
    return signer, made.payload


# sigstore bundles


@pytest.mark.parametrize("algorithm", [Kind.ECDSA, Kind.ED25519, Kind.RSA])
def test_a_bundle_is_read_back_by_our_own_reader(folder: Path, algorithm: Kind) -> None:
    signer, made = signed(folder, Format.BUNDLE, algorithm=algorithm)
    key = signer.key.public
    found = bundle.claims(made, MANIFEST, (key,))
    assert found == (Claim(key.fingerprint, IMAGE, Format.BUNDLE),)
    assert bundle.subjects_of(made) == (IMAGE,)


def test_a_bundle_has_the_members_of_sigstores_own_and_no_others(folder: Path) -> None:
    signer, made = signed(folder, Format.BUNDLE)
    document = json.loads(made)
    assert set(document) == {"mediaType", "verificationMaterial", "dsseEnvelope"}
    assert document["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    hint = base64.b64encode(bytes.fromhex(signer.key.public.fingerprint)).decode()
    material = document["verificationMaterial"]
    assert material == {"publicKey": {"hint": hint}, "tlogEntries": []}
    envelope = document["dsseEnvelope"]
    assert set(envelope) == {"payload", "payloadType", "signatures"}
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert [set(each) for each in envelope["signatures"]] == [{"sig"}]
    assert json.loads(base64.b64decode(envelope["payload"])) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": IMAGE.hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    }


def test_sigstores_models_parse_a_bundle_and_its_crypto_verifies_it(folder: Path) -> None:
    from sigstore.dsse import Envelope, _verify
    from sigstore.errors import VerificationError
    from sigstore_models.bundle.v1 import Bundle

    signer, made = signed(folder, Format.BUNDLE)
    parsed = Bundle.from_json(made)
    assert parsed.verification_material.public_key is not None
    assert parsed.dsse_envelope is not None
    key = load_pem_public_key(signer.key.public.pem.encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    envelope = Envelope(parsed.dsse_envelope)
    assert json.loads(_verify(key, envelope))["subject"] == [{"digest": {"sha256": IMAGE.hex}}]
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(VerificationError):
        _verify(other, envelope)


def test_securesystemslib_verifies_a_bundles_envelope(folder: Path) -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    signer, made = signed(folder, Format.BUNDLE, algorithm=Kind.ED25519)
    fields = json.loads(made)["dsseEnvelope"]
    key = SSlibKey.from_crypto(load_pem_public_key(signer.key.public.pem.encode()))  # type: ignore[arg-type]
    # It looks for a signature by its key id, which a bundle has no room for.
    fields["signatures"][0]["keyid"] = key.keyid
    assert len(Envelope.from_dict(fields).verify([key], 1)) == 1


# Notation


def key_file(folder: Path, private: ec.EllipticCurvePrivateKey) -> Path:
    path = folder / "curve.key"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


def parts(made: bytes) -> tuple[dict[str, object], dict[str, object], dict[str, object]]:
    document = json.loads(made)
    assert set(document) == {"payload", "protected", "header", "signature"}
    for name in ("payload", "protected", "signature"):
        assert re.fullmatch(r"[A-Za-z0-9_-]+", document[name]), "base64url without padding"
    protected, payload = (json.loads(raw(document[name])) for name in ("protected", "payload"))
    return protected, payload, document["header"]


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_an_envelope_has_the_members_of_the_specification_and_no_others(folder: Path) -> None:
    signer, made = signed(folder, Format.NOTATION)
    protected, payload, header = parts(made)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(AT))
    assert protected == {
        "alg": "ES256",
        "crit": ["io.cncf.notary.signingScheme"],
        "cty": "application/vnd.cncf.notary.payload.v1+json",
        "io.cncf.notary.signingScheme": "notary.x509",
        "io.cncf.notary.signingTime": when,
    }
    target = {"mediaType": TYPE, "digest": str(IMAGE), "size": len(MANIFEST)}
    assert payload == {"targetArtifact": target}
    assert set(header) == {"x5c", "io.cncf.notary.signingAgent"}
    [leaf] = header["x5c"]  # type: ignore[misc]
    assert base64.b64decode(leaf) == signer.chain[0].public_bytes(Encoding.DER)
    assert notation.subject_of(made) == IMAGE
    assert notation.thumbprints(made) == (signer.chain[0].fingerprint(hashes.SHA256()).hex(),)


def test_an_envelope_is_read_back_by_our_own_reader_and_by_a_jose_library(folder: Path) -> None:
    import jwt

    signer, made = signed(folder, Format.NOTATION)
    [claim] = notation.claims(made, signer.chain, AT)
    root = public_key(signer.chain[0].public_key()).fingerprint
    assert claim == Claim(signer.key.public.fingerprint, IMAGE, Format.NOTATION, (root,))
    document = json.loads(made)
    compact = ".".join(document[name] for name in ("protected", "payload", "signature"))
    understood = jwt.PyJWS(options={"verify_signature": True})
    # `crit` names a member that the library does not know: what it stands for is checked here.
    understood._supported_crit = {"io.cncf.notary.signingScheme"}  # type: ignore[misc]
    found = understood.decode_complete(compact, signer.chain[0].public_key(), algorithms=["ES256"])  # type: ignore[arg-type]
    assert json.loads(found["payload"])["targetArtifact"]["digest"] == str(IMAGE)


@pytest.mark.parametrize(
    ("curve", "alg", "size"),
    [(ec.SECP256R1(), "ES256", 64), (ec.SECP384R1(), "ES384", 96), (ec.SECP521R1(), "ES512", 132)],
    ids=["P-256", "P-384", "P-521"],
)
def test_each_curve_signs_with_its_own_hash_as_two_numbers(
    folder: Path, curve: ec.EllipticCurve, alg: str, size: int
) -> None:
    private = ec.generate_private_key(curve)
    file, chain = key_file(folder, private), folder / "c.crt"
    certify(chain, load(file, b"", curves=NOTATION_CURVES), "ann", now=AT, days=3)
    signer = Signer.of(Format.NOTATION, file, b"", chain)
    made = signer.signed(HELD, repository="local/app", at=AT).payload
    assert parts(made)[0]["alg"] == alg
    document = json.loads(made)
    signature = raw(document["signature"])
    assert len(signature) == size
    half = size // 2
    der = encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )
    hashed = {"ES256": hashes.SHA256(), "ES384": hashes.SHA384(), "ES512": hashes.SHA512()}[alg]
    message = f"{document['protected']}.{document['payload']}".encode()
    private.public_key().verify(der, message, ec.ECDSA(hashed))
    assert notation.claims(made, signer.chain, AT)


def test_an_rsa_key_of_3072_bits_signs_with_ps384(folder: Path) -> None:
    signer, made = signed(folder, Format.NOTATION, algorithm=Kind.RSA)
    assert parts(made)[0]["alg"] == "PS384"
    document = json.loads(made)
    message = f"{document['protected']}.{document['payload']}".encode()
    native = load_pem_public_key(signer.key.public.pem.encode())
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), salt_length=48)
    native.verify(raw(document["signature"]), message, pss, hashes.SHA384())  # type: ignore[union-attr,call-arg,arg-type]
    assert notation.claims(made, signer.chain, AT)


def test_a_certificate_of_our_own_keeps_the_rules_for_signers(folder: Path) -> None:
    signer, _ = signed(folder, Format.NOTATION)
    [made] = signer.chain
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [each.dotted_string for each in purposes] == ["1.3.6.1.5.5.7.3.3"]


def test_a_chain_up_to_a_root_signs_for_the_roots_owner(folder: Path) -> None:
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("root", root_key, ca=True)
    leaf = certificate("leaf", leaf_key, issuer="root", issuer_key=root_key)
    file = folder / "chain.pem"
    file.write_bytes(leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM))
    signer = Signer.of(Format.NOTATION, key_file(folder, leaf_key), b"", file)
    at = leaf.not_valid_before_utc.timestamp() + 3600
    made = signer.signed(HELD, repository="local/app", at=at).payload
    [claim] = notation.claims(made, (root,), at)
    assert claim.authorities == (public_key(root.public_key()).fingerprint,)
    late = leaf.not_valid_after_utc.timestamp() + 1
    with pytest.raises(BadInput, match="not valid now"):
        signer.signed(HELD, repository="local/app", at=late)


def test_what_does_not_belong_together_is_refused_before_anything_is_signed(folder: Path) -> None:
    signed(folder, Format.NOTATION)
    make(folder / "bob.key", Kind.ECDSA, b"")
    make(folder / "eddy.key", Kind.ED25519, b"")
    for kind, name, chain, why in (
        (Format.NOTATION, "ann.key", None, "signs with a certificate"),
        (Format.COSIGN, "ann.key", "ann.crt", "signs with a certificate"),
        (Format.NOTATION, "bob.key", "ann.crt", "is of another key"),
        (Format.NOTATION, "ann.key", "ann.key", "holds no certificates"),
    ):
        with pytest.raises(BadInput, match=why):
            Signer.of(kind, folder / name, b"", folder / chain if chain else None)
    with pytest.raises(BadInput, match="no Ed25519"):
        certify(folder / "e.crt", load(folder / "eddy.key", b""), "e", now=AT, days=1)


# cosign


def test_a_cosign_payload_is_signed_over_its_bytes(folder: Path) -> None:
    file = folder / "ann.key"
    public = make(file, Kind.ECDSA, b"")
    made = Signer.of(Format.COSIGN, file, b"", None).signed(HELD, repository="local/app", at=AT)
    text = base64.b64encode(made.signature).decode()
    assert cosign.claims(made.payload, text, (public,)) == (
        Claim(public.fingerprint, IMAGE, Format.COSIGN),
    )
    assert cosign.subject_of(made.payload) == Digest.parse(HELD.digest)
