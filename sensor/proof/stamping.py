"""Time stamps of others (RFC 3161): that a checkpoint was there at a time, said by an authority that is asked over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sensor.errors import UsageError, WardwatchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

SUFFIX: Final = ".tsr"
ASKED: Final = "application/timestamp-query"
TIMEOUT_S: Final = 20.0
MAX_BYTES: Final = 100_000


def stamp(data: bytes, url: str) -> bytes:
    """What the authority answers to the hash of these bytes; nothing else of them leaves. Raises WardwatchError."""
    import httpx  # noqa: PLC0415 - slow to import
    from rfc3161_client import PKIStatus, TimestampRequestBuilder, decode_timestamp_response  # noqa: PLC0415 - as above

    asked = TimestampRequestBuilder().data(data).build()
    try:
        answer = httpx.post(url, content=asked.as_bytes(), headers={"Content-Type": ASKED}, timeout=TIMEOUT_S)
        answer.raise_for_status()
        found = decode_timestamp_response(answer.content)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise WardwatchError(f"{url}: gives no time stamp: {error}") from error
    if found.status not in {PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS} or found.tst_info.nonce != asked.nonce:
        raise WardwatchError(f"{url}: refuses a time stamp, or gives that of another question")
    return answer.content


def when(data: bytes, answer: bytes, roots: Sequence[Path]) -> datetime:
    """The time that was stamped on these bytes. Raises WardwatchError where the stamp does not hold under these roots."""
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - of use here only
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response  # noqa: PLC0415 - as above

    builder = VerifierBuilder()
    for root in roots:
        try:
            for certificate in load_pem_x509_certificates(root.read_bytes()):
                builder = builder.add_root_certificate(certificate)
        except (OSError, ValueError) as error:
            raise UsageError(f"--timestamp-root: {root}: holds no certificate in PEM") from error
    try:
        found = decode_timestamp_response(answer)
        builder.build().verify_message(found, data)
    except (VerificationError, ValueError) as error:
        raise WardwatchError(f"the time stamp does not hold: {error}") from error
    return found.tst_info.gen_time
