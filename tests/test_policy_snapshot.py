"""The hash: changed by everything that can change a verdict, and by nothing else."""

from __future__ import annotations

import json
import re

import pytest

from sensor import config
from sensor.policy import Policy
from sensor.policy_snapshot import SCHEMA, canonical, digest
from sensor.settings import Settings

EXAMPLE = config.example_text()


KNOWN = """
[site]
timezone = "Europe/Madrid"
[[network]]
name = "Ward"
cidrs = ["10.0.0.0/8", "2001:db8::/32"]
vlans = [7]
watch = "excluded"
[[policy.variant]]
app = "zoom"
hosts = ["a.zoom.us"]
reason = "r"
[[policy.exception]]
name = "e"
apps = ["zoom", "whatsapp"]
devices = ["10.0.0.1", "02:00:5e:00:53:01"]
where = ["Ward"]
activities = ["meeting"]
from = 2026-03-01
until = 2026-03-01T12:00:00
reason = "r"
owner = "o"
[[policy.schedule]]
name = "s"
apps = ["zoom"]
days = ["sat", "mon"]
from = "22:00"
to = "06:00"
outcome = "violation"
"""


def hash_of(text: str) -> str:
    return Policy(config.loads(text)).hash


def changed(old: str, new: str) -> str:
    assert EXAMPLE.count(old) == 1, old
    return EXAMPLE.replace(old, new)


def test_the_snapshot_is_json_and_the_hash_is_of_its_canonical_form():
    policy = Policy(config.loads(EXAMPLE))
    snapshot = policy.snapshot()
    assert snapshot["schema"] == SCHEMA
    assert json.loads(canonical(snapshot)) == snapshot
    assert policy.hash == digest(snapshot)
    assert re.fullmatch("[0-9a-f]{64}", policy.hash)
    assert canonical({"b": "é", "a": [1, None]}) == b'{"a":[1,null],"b":"\\u00e9"}'


def test_the_hashes_of_known_policies_stay():
    """Evidence cites them: where one of these changes, verdicts stored before no longer name a policy that can be shown."""
    assert Policy(Settings()).hash == "91565377ac88900881b55ebb3382c79bd14b44dada6ba18ae759f7efb18b26bc"
    assert hash_of(KNOWN) == "7413bc33c0818d5f24028ce7d2998d65d295c078b4af77ca74f1df8314df3786"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('timezone = "Europe/Madrid"', 'timezone = "Atlantic/Canary"'),
        ('"10.20.0.0/16"', '"10.21.0.0/16"'),
        ('"10.40.0.0/16", ', ""),
        ("vlans = [40]", "vlans = [41]"),
        ('watch = "excluded"', 'watch = "monitored" '),
        ('name = "Guest Wi-Fi"', 'name = "Patients"'),
        ('approved = ["teams"]', 'approved = ["teams", "webex"]'),
        ('"facetime", "messenger", "zoom"]', '"facetime", "messenger"]'),
        ('unlisted = "unreviewed"', 'unlisted = "violation"'),
        ('background = "information"  ', 'background = "low"  '),
        ('minimum_strength = "strong"  ', 'minimum_strength = "conclusive"  '),
        ('app = "zoom"', 'app = "webex"'),
        ('hosts = ["example.zoom.us"]', 'hosts = ["other.zoom.us"]'),
        ('apps = ["whatsapp"]', 'apps = ["signal"]'),
        ('"10.20.3.14"]', '"10.20.3.15"]'),
        ('"00:00:5e:00:53:10" =', '"00:00:5e:00:53:11" ='),
        ('where = ["Wards"]', 'where = ["Staff"]'),
        ('["voice_call", "video_call"]', '["voice_call"]'),
        ("from = 2026-03-01", "from = 2026-03-02"),
        ("until = 2099-12-31", "until = 2099-12-30"),
        ('owner = "Head of nursing"', 'owner = "Somebody else"'),
        ('reason = "No interpreter on site at night"', 'reason = "Another"'),
        ('apps = ["webex"]', 'apps = ["signal"]'),
        ('where = ["Staff"]', 'where = ["Wards"]'),
        ('["mon", "tue",', '["mon",'),
        ('from = "08:00"', 'from = "08:01"'),
        ('to = "20:00"', 'to = "20:01"'),
        ('outcome = "allowed"', 'outcome = "violation"'),
    ],
)
def test_what_can_change_a_verdict_changes_the_hash(old, new):
    assert hash_of(changed(old, new)) != hash_of(EXAMPLE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Configuration of wardwatch.", "# Another comment."),
        ('name = "Example Clinic"', 'name = "Another Clinic"'),
        ('kind = "staff"', 'kind = "clinical"'),
        ('"10.30.0.7" = "Front desk"', '"10.30.0.8" = "Back desk"'),
        ('routers = ["00:00:5e:00:53:01"]', "routers = []"),
        ("flow_table_rows = 1048576        #", "flow_table_rows = 2048        #"),
        ("background_s = 900 ", "background_s = 901 "),
        ("[store]", '[store]\nurl = "sqlite://"'),
        ('"10.20.0.0/16", "2001:db8:20::/48"', '"2001:DB8:20::/48", "10.20.0.0/255.255.0.0"'),
        ('["whatsapp", "facetime", "messenger", "zoom"]', '["zoom", "messenger", "facetime", "whatsapp"]'),
        ('["voice_call", "video_call"]', '["video_call", "voice_call"]'),
        ('devices = ["Telemedicine cart, Ward 3", "10.20.3.14"]', 'devices = ["10.20.3.14", "00-00-5E-00-53-10"]'),
        ("until = 2099-12-31", "until = 2099-12-31T23:00:00Z"),
        ('"mon", "tue", "wed"', '"wed", "tue", "mon"'),
        ('hosts = ["example.zoom.us"]', 'hosts = ["Example.Zoom.US."]'),
    ],
)
def test_what_cannot_change_a_verdict_does_not(old, new):
    assert hash_of(changed(old, new)) == hash_of(EXAMPLE)


def test_the_order_of_unrelated_sections_does_not():
    head, *sections = re.split(r"^(?=\[(?:site|devices|sensor|store|signatures)\])", EXAMPLE, flags=re.MULTILINE)
    rest = sections.pop()  # [signatures], [policy] and all that follows
    middle = re.split(r"^(?=\[\[network\]\])", sections.pop(0), maxsplit=1, flags=re.MULTILINE)
    assert hash_of(head + "".join(reversed(sections)) + rest + middle[0] + middle[1]) == hash_of(EXAMPLE)


def test_the_order_of_rules_does():
    rule = '[[policy.exception]]\nname = "{0}"\napps = ["zoom"]\nreason = "r"\nowner = "o"\n'
    assert hash_of(rule.format("a") + rule.format("b")) != hash_of(rule.format("b") + rule.format("a"))
