"""`wardwatch serve` and `wardwatch user` as programs: the first user by the printed link, TLS of its own, an orderly end."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import signal
import ssl
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = (sys.executable, "-m", "sensor.cli")
PASSWORD = "a long enough pass phrase"


@contextmanager
def served(folder: Path, config: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The process and what it said, up to the link for the first user or the address."""
    (folder / "clinic.toml").write_text(config, "utf-8")
    command = [*PROGRAM, "serve", "--config", "clinic.toml", "--store", "w.sqlite", "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = [process.stderr.readline()]
        said.append(process.stderr.readline())
        yield process, said
    finally:
        process.kill()
        process.communicate(timeout=30)


def user(folder: Path, *arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, "user", *arguments, "--store", "w.sqlite"]
    return subprocess.run(command, cwd=folder, input=password + "\n", capture_output=True, text=True, check=False)


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "wardwatch")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.key").write_bytes(private)


def test_from_the_printed_link_to_an_orderly_end_over_tls(tmp_path: Path) -> None:
    certificate(tmp_path)
    config = '[api]\ncertificate = "tls.pem"\nkey = "tls.key"\n'
    with served(tmp_path, config) as (process, said):
        link = re.search(r"(https://127\.0\.0\.1:\d+)/welcome\?token=(\S+)", said[1])
        assert link, said
        trusted = ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))
        with httpx.Client(base_url=link[1], verify=trusted, headers={"Origin": link[1]}, timeout=60) as client:
            body = {"token": link[2], "name": "ada", "password": PASSWORD}
            assert client.post("/api/v1/welcome", json=body).status_code == 204
            signed = client.post("/api/v1/session", json={"name": "ada", "password": PASSWORD})
            assert signed.status_code == 200
            assert client.get("/api/v1/session").json()["role"] == "admin"
            assert client.get("/api/v1/violations").json()["total"] == 0
            assert "max-age" in signed.headers["strict-transport-security"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}


def test_users_by_the_command_line(tmp_path: Path) -> None:
    assert user(tmp_path, "add", "otto", "--role", "officer", "--stdin", password=PASSWORD).returncode == 0
    assert user(tmp_path, "list").stdout == "otto\tofficer\n"
    assert user(tmp_path, "role", "otto", "--role", "auditor").returncode == 0
    assert user(tmp_path, "disable", "otto").returncode == 0
    assert user(tmp_path, "list").stdout == "otto\tauditor\tdisabled\n"
    assert user(tmp_path, "enable", "otto").returncode == 0
    assert user(tmp_path, "password", "otto", "--stdin", password="another long pass phrase").returncode == 0
    assert PASSWORD not in (tmp_path / "w.sqlite").read_bytes().decode("latin-1")


@pytest.mark.parametrize(
    ("arguments", "password"),
    [(("add", "kim", "--role", "viewer", "--stdin"), "short"), (("add", "Kim K", "--role", "viewer", "--stdin"), PASSWORD),
     (("disable", "nobody"), "")],
)  # fmt: skip
def test_what_cannot_be_is_one_line(tmp_path: Path, arguments: tuple[str, ...], password: str) -> None:
    done = user(tmp_path, *arguments, password=password)
    assert done.returncode == 1
    assert done.stderr.startswith("wardwatch: ")
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with served(tmp_path, "") as (_, said):
        port = said[0].strip().rpartition(":")[2]
        command = [*PROGRAM, "serve", "--config", "clinic.toml", "--store", "w.sqlite", "--port", port]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot be listened on" in done.stderr
