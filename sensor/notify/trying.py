"""The message by which one sees that a channel works: an example that says of itself that it is one."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from sensor.model import Activity, Severity, Strength
from sensor.notify.model import Occasion, Violation, Who
from sensor.notify.sending import Message
from sensor.wording import NS

if TYPE_CHECKING:
    from sensor.notify.composing import Composer

TEXT = "This is a test of the channel. Nothing happened, and nothing needs to be done."


def message(composer: Composer) -> Message:
    """A call of two minutes that nobody held, of a device that there is not."""
    now_ns = time.time_ns()
    made = Violation(
        id=f"test-{secrets.token_hex(8)}",
        sequence=0,
        occasion=Occasion.TEST,
        recorded_ns=now_ns,
        site=composer.setup.settings.site.name,
        version=composer.version,
        device=Who("test device"),
        network="",
        apps=(("test", "Test"),),
        services=(),
        activity=Activity.VOICE_CALL,
        strength=Strength.CONCLUSIVE,
        severity=Severity.INFORMATION,
        start_ns=now_ns - 120 * NS,
        end_ns=now_ns,
        bytes_up=0,
        bytes_down=0,
        packets=0,
        flows=0,
        closed=True,
        rule="test",
        kind="test",
        reason=TEXT,
        policy_hash=composer.setup.policy.hash,
        signatures_hash=composer.setup.signatures.hash,
        signature_version="",
        names=(),
        notes=(TEXT,),
        proofs=(),
        proofs_total=0,
    )
    return Message(secrets.token_hex(16), now_ns, (made,))
