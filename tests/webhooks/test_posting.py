"""A post goes to the address that was checked, under the name that was meant, and nowhere else."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.webhooks.addresses import Addresses
from adapters.webhooks.posting import Poster, check
from tests.webhooks.receiver import Receiver, answered, receiving

pytestmark = pytest.mark.asyncio(loop_scope="session")
LISTED = [ip_network("127.0.0.0/8")]


class Names:
    """A resolver that says one thing after the other, the last for ever, and counts."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def certificate(folder: Path, name: str) -> Path:
    """A file with a key, and a certificate for this name that vouches for itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (file := folder / "hooks.pem").write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def hooks_test(tmp_path: Path) -> Path:
    return certificate(tmp_path, "hooks.test")


@pytest_asyncio.fixture(loop_scope="session")
async def sealed(hooks_test: Path) -> AsyncIterator[Receiver]:
    """A receiver that speaks TLS as hooks.test, and keeps the name that it was called by."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(hooks_test)
    async with receiving(context) as found:
        context.sni_callback = lambda _, name, __: called.append(name)
        called.clear()
        yield found


called: list[str | None] = []


async def test_tls_is_spoken_with_the_name_that_was_meant(sealed: Receiver, hooks_test: Path) -> None:
    names, trusting = Names(["127.0.0.1"]), ssl.create_default_context(cafile=str(hooks_test))
    async with Poster(f"https://hooks.test:{sealed.port}/x?y=z", Addresses(LISTED, names), trusting) as poster:
        assert (await poster.post(b"{}", {})).ok
        assert (await poster.post(b"{}", {})).status == 204
    assert (called, names.asked) == (["hooks.test"], ["hooks.test"])
    assert [(one.path, one.headers["host"]) for one in sealed.came] == [("/x?y=z", f"hooks.test:{sealed.port}")] * 2


@pytest.mark.parametrize(
    ("host", "trusted"), [("other.test", True), ("hooks.test", False)], ids=["another name", "nobody vouches"]
)
async def test_a_certificate_that_does_not_hold_is_refused(
    sealed: Receiver, hooks_test: Path, host: str, trusted: bool
) -> None:
    context = ssl.create_default_context(cafile=str(hooks_test) if trusted else None)
    async with Poster(f"https://{host}:{sealed.port}/", Addresses(LISTED, Names(["127.0.0.1"])), context) as poster:
        outcome = await poster.post(b"{}", {})
    assert outcome.problem == "the certificate is not the host's, or nobody vouches for it"
    assert sealed.came == []


async def test_a_name_that_turns_to_us_after_its_check_is_not_followed(receiver: Receiver) -> None:
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    addresses, url = Addresses([], names), f"https://hooks.test:{receiver.port}/"
    await check(url, addresses)
    async with Poster(url, addresses) as poster:
        outcome = await poster.post(b"{}", {})
    assert outcome.problem == "the host has an address that is not public"
    assert (receiver.came, names.asked) == ([], ["hooks.test"] * 2)


async def test_a_connection_goes_to_what_was_checked_without_asking_again(receiver: Receiver) -> None:
    names = Names(["127.0.0.1"], ["192.0.2.1"])
    async with Poster(f"http://hooks.test:{receiver.port}/", Addresses(LISTED, names)) as poster:
        assert (await poster.post(b"{}", {})).ok
        assert (await poster.post(b"{}", {})).ok
    assert names.asked == ["hooks.test"]


async def test_a_name_with_a_listed_and_a_closed_address_is_refused(receiver: Receiver) -> None:
    for found in (["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "::1"]):
        async with Poster(f"http://hooks.test:{receiver.port}/", Addresses(LISTED, Names(found))) as poster:
            assert not (await poster.post(b"{}", {})).ok
    assert receiver.came == []


async def test_the_next_address_is_tried_where_one_does_not_answer(receiver: Receiver) -> None:
    names = Names(["127.0.0.2", "127.0.0.1"])
    async with Poster(f"http://hooks.test:{receiver.port}/", Addresses(LISTED, names)) as poster:
        assert (await poster.post(b"{}", {})).ok


async def test_no_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        async with Poster(receiver.url(), Addresses(LISTED)) as poster:
            assert (await poster.post(b"{}", {})).ok
        assert (len(receiver.came), len(proxy.came)) == (1, 0)


async def test_who_does_not_answer_in_time_is_left(receiver: Receiver) -> None:
    receiver.answers = lambda _: None
    async with Poster(receiver.url(), Addresses(LISTED), seconds=0.2) as poster:
        outcome = await poster.post(b"{}", {})
    assert (outcome.status, outcome.problem) == (None, "no answer in time")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n", "the answer is not HTTP"),
        (answered(100) + answered(204), None),
        (answered(204), None),
        (answered(299), None),
        (answered(304), "answered 304"),
        (answered(404), "answered 404"),
    ],
    ids=["no HTTP", "a head without end", "after a word between", "204", "299", "304", "404"],
)
async def test_an_answer_is_taken_for_what_it_is(receiver: Receiver, answer: bytes, problem: str | None) -> None:
    receiver.answers = lambda _: answer
    async with Poster(receiver.url(), Addresses(LISTED), seconds=5) as poster:
        assert (await poster.post(b"{}", {})).problem == problem


async def test_a_port_where_nobody_listens_is_a_failure_that_tells_nothing() -> None:
    async with Poster("http://127.0.0.1:9/secret", Addresses(LISTED)) as poster:
        assert (await poster.post(b"{}", {})).problem == "the connection failed"
