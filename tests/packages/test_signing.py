"""The key that signs packages."""

import base64
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from adapters.package_settings import PackageSettings
from adapters.packages.signing import Signer, signer_of, trust_of
from domain.errors import Invalid

OTHER = base64.b64encode(bytes(range(32))).decode()


def test_a_key_is_made_once_and_only_we_read_it(tmp_path: Path) -> None:
    first = signer_of(PackageSettings(), tmp_path)
    assert signer_of(PackageSettings(), tmp_path).public == first.public
    path = tmp_path / "secrets" / "signing.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text() not in repr(first)


def test_a_configured_key_wins(tmp_path: Path) -> None:
    signer = signer_of(PackageSettings(signing_key=SecretStr(OTHER)), tmp_path)
    assert signer.public != signer_of(PackageSettings(), tmp_path).public
    assert [*tmp_path.iterdir()] == [tmp_path / "secrets"]


def test_a_damaged_key_is_told_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "signing.key").write_text("hunter2")
    with pytest.raises(ValueError, match=r"signing\.key") as refused:
        signer_of(PackageSettings(), tmp_path)
    assert "hunter2" not in str(refused.value)


def test_we_believe_ourselves_and_whom_the_settings_name(tmp_path: Path, signer: Signer) -> None:
    own = signer_of(PackageSettings(), tmp_path)
    trust = trust_of(PackageSettings(trusted_signing_keys=frozenset({signer.public})), own)
    for one in (own, signer):
        assert trust.verified(b"text", one.public, one.sign(b"text")) == one.public


@pytest.mark.parametrize(("public", "signature"), [("x", "x"), ("", ""), (OTHER, OTHER), ("é", "=")])
def test_what_is_no_signature_is_refused(public: str, signature: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="signature"):
        trust_of(PackageSettings(), signer_of(PackageSettings(), tmp_path)).verified(b"text", public, signature)


@pytest.mark.parametrize(
    "wrong",
    [
        {"signing_key": "hunter2"},
        {"trusted_signing_keys": "hunter2"},
        {"blobs_url": "file:///etc"},
        {"blobs_endpoint": "https://ann:hunter2@host"},
    ],
    ids=str,
)
def test_settings_that_cannot_be_used_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        PackageSettings(**wrong)  # type: ignore[arg-type]


def test_keys_stand_with_commas_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_SIGNING_KEYS", f"{OTHER}, {base64.b64encode(bytes(32)).decode()}")
    assert len(PackageSettings().trusted_signing_keys) == 2
