"""References to secrets: an organisation may name its own, and no other's."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.environment_secrets import own_secret
from domain.environment import check_reference, variables_of
from domain.errors import Invalid

NAMES = st.text("ab-_.%/2", min_size=1, max_size=8)


def may(organisation: str, reference: str) -> bool:
    """Whether the organisation may name the secret."""
    try:
        check_reference(organisation, reference)
    except Invalid:
        return False
    return True


@pytest.mark.parametrize("reference", ["env:ROLLBOOK_ENV_MY_SHOP__PRODUCTION", "file:production", "file:a.b-c_d"])
def test_an_organisation_names_its_own_secrets(reference: str) -> None:
    assert may("my-shop", reference)


@pytest.mark.parametrize(
    "reference",
    [
        "postgresql://ann:hunter2@host/shop",
        "dbname=shop password=hunter2",
        "env:MASTER_KEY",
        "env:ROLLBOOK_ENV_",
        "env:ROLLBOOK_ENV_MY_SHOP__",
        "env:ROLLBOOK_ENV_MY__SHOP__PRODUCTION",
        "env:ROLLBOOK_ENV_GLOBEX__PRODUCTION",
        "env:rollbook_env_my_shop__production",
        "env:ROLLBOOK_ENV_MY_SHOP__A\n",
        "ENV:ROLLBOOK_ENV_MY_SHOP__A",
        "file:",
        "file:/etc/passwd",
        "file:../globex/production",
        "file:..",
        "file:.hidden",
        "file:a/b",
        "file:a\0",
        "file:a\n",
        "",
    ],
)
def test_whatever_else_it_names_is_refused_and_not_repeated(reference: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_reference("my-shop", reference)
    assert "hunter2" not in refused.value.message
    assert "env:ROLLBOOK_ENV_MY_SHOP__NAME" in refused.value.message


@given(NAMES, NAMES, st.text("AB_", min_size=1, max_size=8))
def test_no_variable_is_two_organisations(one: str, other: str, name: str) -> None:
    prefix = variables_of(one)
    if prefix and one != other:
        assert not may(other, f"env:{prefix}{name}")


def test_an_organisation_whose_name_no_variable_can_hold_keeps_its_secrets_in_files() -> None:
    for organisation in ("my_shop", "a--b", "-a", "a.b", "ünion"):
        assert variables_of(organisation) is None
        assert may(organisation, "file:production")
        assert not may(organisation, "env:ROLLBOOK_ENV_A__B")


def test_a_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBOOK_ENV_ACME__SHOP", "dbname=shop")
    assert own_secret(None, "acme", "env:ROLLBOOK_ENV_ACME__SHOP") == "dbname=shop"
    with pytest.raises(ValueError, match="ROLLBOOK_ENV_ACME__OTHER is not set"):
        own_secret(None, "acme", "env:ROLLBOOK_ENV_ACME__OTHER")


def test_a_reference_that_is_not_the_organisations_is_refused_when_it_is_used_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROLLBOOK_ENV_GLOBEX__SHOP", "dbname=shop")
    with pytest.raises(Invalid):
        own_secret(None, "acme", "env:ROLLBOOK_ENV_GLOBEX__SHOP")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Secrets of acme, and of its neighbour."""
    for organisation in ("acme", "globex", "%2E%2E"):
        (tmp_path / organisation).mkdir()
        (tmp_path / organisation / "shop").write_text(f"dbname=shop_of_{organisation}\n")
    return tmp_path


def test_a_file_is_found_in_the_folder_of_its_organisation(folder: Path) -> None:
    assert own_secret(folder, "acme", "file:shop") == "dbname=shop_of_acme"
    with pytest.raises(ValueError, match="other cannot be read"):
        own_secret(folder, "acme", "file:other")


def test_a_link_within_the_folder_is_followed_and_one_that_leads_out_is_not(folder: Path) -> None:
    (folder / "acme" / "again").symlink_to("shop")
    (folder / "acme" / "theirs").symlink_to("../globex/shop")
    assert own_secret(folder, "acme", "file:again") == "dbname=shop_of_acme"
    with pytest.raises(ValueError, match="leads out"):
        own_secret(folder, "acme", "file:theirs")


@pytest.mark.parametrize("organisation", ["..", ".", "../globex", "globex/", "/", "GLOBEX"])
def test_the_name_of_an_organisation_leads_nowhere_else(folder: Path, organisation: str) -> None:
    (folder / "shop").write_text("dbname=nobodys")
    with pytest.raises(ValueError):
        own_secret(folder, organisation, "file:shop")


def test_what_is_no_ordinary_file_is_refused_at_once(folder: Path) -> None:
    os.mkfifo(folder / "acme" / "pipe")
    (folder / "acme" / "folder").mkdir()
    (folder / "acme" / "empty").write_text(" \n")
    (folder / "acme" / "large").write_text("x" * 10_000)
    for name in ("pipe", "folder", "empty", "large"):
        with pytest.raises(ValueError, match=name):
            own_secret(folder, "acme", f"file:{name}")


def test_without_a_folder_of_secrets_no_file_is_read() -> None:
    with pytest.raises(ValueError, match="ENVIRONMENT_SECRETS_DIR"):
        own_secret(None, "acme", "file:shop")
