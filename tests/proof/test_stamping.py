"""Time stamps, from an authority made for the test with OpenSSL."""

from __future__ import annotations

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from sensor.cli import main
from sensor.errors import WardwatchError
from sensor.proof import stamping
from sensor.store import open_store
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
"""


class Authority:
    """Answers queries with OpenSSL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        new = ["req", "-newkey", "rsa:2048", "-nodes", "-config", "/dev/null"]
        self.openssl(*new, "-x509", "-days", "30", "-subj", "/CN=Root", "-keyout", "ca.key", "-out", "ca.pem",
                     "-extensions", "ca", "-config", "tsa.cnf.req")  # fmt: skip
        self.openssl(*new, "-subj", "/CN=Stamps", "-keyout", "tsa.key", "-out", "tsa.csr", "-config", "tsa.cnf.req")
        self.openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                     "-extfile", "tsa.cnf", "-extensions", "leaf", "-out", "tsa.pem")  # fmt: skip

    def openssl(self, *arguments: str) -> None:
        (self.folder / "tsa.cnf.req").write_text(
            "[req]\ndistinguished_name = dn\n[dn]\n" + CONFIG.partition("[tsa]")[0]
        )
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def answer(self, query: bytes) -> bytes:
        (self.folder / "q.tsq").write_bytes(query)
        self.openssl("ts", "-reply", "-config", "tsa.cnf", "-section", "one", "-queryfile", "q.tsq", "-out", "r.tsr")
        return (self.folder / "r.tsr").read_bytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    return Authority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            body = authority.answer(query) if self.path == "/ok" else b"nonsense"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_stamp_holds_for_its_bytes_and_its_root_only(authority: Authority, url: str, tmp_path: Path) -> None:
    answer = stamping.stamp(b"a checkpoint", f"{url}/ok")
    root = authority.folder / "ca.pem"
    assert stamping.when(b"a checkpoint", answer, [root]).year >= 2026
    with pytest.raises(WardwatchError, match="does not hold"):
        stamping.when(b"another one", answer, [root])
    for at in range(0, len(answer), 37):
        changed = bytearray(answer)
        changed[at] ^= 0x10
        if bytes(changed) != answer:
            try:
                time = stamping.when(b"a checkpoint", bytes(changed), [root])
            except WardwatchError:
                continue
            assert time == stamping.when(b"a checkpoint", answer, [root]), "what is not signed says nothing"
    other = Authority(tmp_path)
    with pytest.raises(WardwatchError, match="does not hold"):
        stamping.when(b"a checkpoint", answer, [other.folder / "ca.pem"])


def test_no_answer_or_nonsense_is_one_line(url: str) -> None:
    for wrong in (f"{url}/nonsense", "http://127.0.0.1:9/", "nonsense"):
        with pytest.raises(WardwatchError, match="gives no time stamp"):
            stamping.stamp(b"x", wrong)


def test_the_commands(authority: Authority, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, outside = tmp_path / "store" / "w.sqlite", tmp_path / "outside"
    outside.mkdir()
    with open_store(place) as store:
        store.append([episode()], snapshots=KNOWN)
    assert main(["audit", "checkpoint", "--store", str(place), "--out", str(outside), "--timestamp", f"{url}/ok"]) == 0
    assert sorted(one.suffix for one in outside.iterdir()) == [".json", ".tsr"]
    verify = ["audit", "verify", "--store", str(place), "--checkpoints", str(outside)]
    assert main([*verify, "--timestamp-root", str(authority.folder / "ca.pem")]) == 0
    assert "says the time stamp" in capsys.readouterr().out
    assert main(verify) == 0
    assert "no --timestamp-root" in capsys.readouterr().out
    (stamp,) = outside.glob("*.tsr")
    stamp.write_bytes(b"nonsense")
    assert main([*verify, "--timestamp-root", str(authority.folder / "ca.pem")]) == 4
    assert main(["audit", "checkpoint", "--store", str(place), "--timestamp", url]) == 2
