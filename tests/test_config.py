"""The TOML file: what it means, and the one line that each mistake gives."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor import config
from sensor.classify import visibility
from sensor.errors import ConfigError
from sensor.model import Severity, Strength
from sensor.settings import (
    HiddenOutcome,
    PolicySettings,
    Settings,
    Unlisted,
)

if TYPE_CHECKING:
    from pathlib import Path

APPS = ("whatsapp", "facetime", "messenger", "zoom", "teams", "webex", "signal")
VARIANT = '[[policy.variant]]\napp = "zoom"\nhosts = ["a.zoom.us"]\nreason = "r"\n'
EXCEPTION = '[[policy.exception]]\nname = "e"\napps = ["zoom"]\nreason = "r"\nowner = "o"\n'
SCHEDULE = '[[policy.schedule]]\nname = "s"\napps = ["zoom"]\nfrom = "08:00"\nto = "20:00"\noutcome = "allowed"\n'
WARD = '[[network]]\nname = "Ward"\ncidrs = ["10.20.0.0/16"]\n'


def ns(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000_000


def message_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.loads(text, file="clinic.toml", known_apps=APPS)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message.removeprefix("clinic.toml: ")


def test_no_file_watches_everything_and_disallows_the_four():
    settings = config.load(None)
    assert settings == Settings()
    assert settings.networks == ()
    assert settings.policy == PolicySettings(
        approved=(),
        disallowed=("whatsapp", "facetime", "messenger", "zoom"),
        unlisted=Unlisted.UNREVIEWED,
        background=Severity.INFORMATION,
        minimum_strength=Strength.STRONG,
    )
    assert settings == config.loads("")


def test_settings_can_be_told_apart_and_not_changed():
    settings = Settings()
    assert hash(settings) == hash(Settings())
    for section in (settings, settings.policy, settings.site, settings.sensor.idle, settings.capture):
        assert not hasattr(section, "__dict__")
        for key in dataclasses.fields(section):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(section, key.name, "x")


@pytest.mark.parametrize("text", ["", " \n", "1\n6 0 0 262144\n", "1,6 0 0 262144", "1,6 0 0 4294967295"])
def test_a_filter_as_tcpdump_prints_it_or_on_one_line(text: str):
    program = config.loads(f'[capture]\nfilter = """{text}"""').capture.filter
    assert program == (((6, 0, 0, int(text.rsplit(maxsplit=1)[-1])),) if text.strip() else ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sites]", "sites: unknown key (did you mean 'site'?)"),
        ('[centre]\nurl = "http://centre.example.org"\nkey_file = "k"', "centre.url: must begin with https://"),
        ('[centre]\nurl = "https://u@x.example"\nkey_file = "k"', "centre.url: is no address like https://centre.example.org"),
        ("[site]\nnome = 'x'", "site.nome: unknown key (did you mean 'name'?)"),
        ("[site]\nname = 3", "site.name: must be a text in quotes, not a whole number"),
        ("[site]\nname = '  '", "site.name: must not be empty"),
        ('[site]\nname = "a\\nb"', "site.name: must be one line of printable characters"),
        (f"[site]\nname = '{'x' * 501}'", "site.name: is longer than 500 characters"),
        ("site = 1", "site: must be a table, not a whole number"),
        ("[site]\ntimezone = 'Madrid'", "site.timezone: 'Madrid' is no IANA time zone, such as 'Europe/Madrid'"),
        ("[site]\ntimezone = '../../etc/passwd'", "site.timezone: '../../etc/passwd' is no IANA time zone, such as 'Europe/Madrid'"),
        ("[site]\ntimezone = 'Europe'", "site.timezone: 'Europe' is no IANA time zone, such as 'Europe/Madrid'"),
        ("[network]", "network: must be a list, not a table"),
        ("network = [1]", "network[0]: must be a table, not a whole number"),
        ("[[network]]\ncidrs = ['10.0.0.0/8']", "network[0].name: is missing"),
        ("[[network]]\nname = 'a'", "network[0]: has neither cidrs nor vlans"),
        (f"{WARD}[[network]]\nname = 'b'\ncidrs = ['10.20.3.0/33']", "network[1].cidrs[0]: '10.20.3.0/33' is not a network"),
        ("[[network]]\nname = 'b'\ncidrs = ['fe80::%eth0/64']", "network[0].cidrs[0]: 'fe80::%eth0/64' is not a network"),
        ("[[network]]\nname = 'b'\ncidrs = ['10.20.3.1/24']", "network[0].cidrs[0]: '10.20.3.1/24' has host bits set; the network is '10.20.3.0/24'"),
        ("[[network]]\nname = 'b'\ncidrs = ['::ffff:10.0.0.0/104']", "network[0].cidrs[0]: '::ffff:10.0.0.0/104' is IPv4 inside IPv6; write it as an IPv4 network"),
        ("[[network]]\nname = 'b'\ncidrs = '10.0.0.0/8'", "network[0].cidrs: must be a list, not a text"),
        ("[[network]]\nname = 'b'\ncidrs = [167772160]", "network[0].cidrs[0]: must be a text in quotes, not a whole number"),
        ("[[network]]\nname = 'b'\ncidrs = ['10.0.0.0/8', '10.0.0.0/255.0.0.0']", "network[0].cidrs[1]: '10.0.0.0/255.0.0.0' is listed twice"),
        ("[[network]]\nname = 'b'\nvlans = [4095]", "network[0].vlans[0]: 4095 is not between 1 and 4094"),
        ("[[network]]\nname = 'b'\nvlans = [true]", "network[0].vlans[0]: must be a whole number, not true or false"),
        ("[[network]]\nname = 'b'\nvlans = [7]\nwatch = 'no'", "network[0].watch: 'no' is none of monitored, excluded"),
        (f"{WARD}{WARD}", "network[1].name: 'Ward' is the name of network[0] too"),
        (f"{WARD}[[network]]\nname = 'b'\ncidrs = ['10.9.0.0/16', '10.20.0.0/16']", "network[1].cidrs[1]: belongs to network[0] 'Ward' too"),
        ("[[network]]\nname = 'a'\nvlans = [7]\n[[network]]\nname = 'b'\nvlans = [8, 7]", "network[1].vlans[1]: belongs to network[0] 'a' too"),
        ("[devices]\nrouters = ['00:00:5e:00:53']", "devices.routers[0]: '00:00:5e:00:53' is not a MAC, such as '02:00:5e:00:53:01'"),
        ("[devices]\nrouters = ['01:00:5e:00:00:01']", "devices.routers[0]: '01:00:5e:00:00:01' is no single device's MAC"),
        ("[devices]\nrouters = ['00-00-5E-00-53-01', '0000.5e00.5301']", "devices.routers[1]: '0000.5e00.5301' is listed twice"),
        ("[devices.names]\n'10.0.0' = 'x'", "devices.names.\"10.0.0\": '10.0.0' is neither a MAC nor an IP address"),
        ("[devices.names]\n'fe80::1%2' = 'x'", "devices.names.\"fe80::1%2\": 'fe80::1%2' must be without the interface after '%'"),
        ("[devices.names]\n'10.0.0.1' = 'x'\n'::ffff:10.0.0.1' = 'y'", 'devices.names."::ffff:10.0.0.1": is named twice'),
        ("[devices.names]\n'10.0.0.1' = 1", 'devices.names."10.0.0.1": must be a text in quotes, not a whole number'),
        ("[sensor]\nflow_table_rows = 1000000", "sensor.flow_table_rows: 1000000 is not a power of two (nearest: 524288, 1048576)"),
        ("[sensor]\nflow_table_rows = 1e6", "sensor.flow_table_rows: must be a whole number, not a number"),
        ("[sensor]\ndns_memory_rows = 0", "sensor.dns_memory_rows: 0 is not between 1024 and 67108864"),
        ("[sensor]\ndrop_duplicates = 1", "sensor.drop_duplicates: must be true or false, not a whole number"),
        ("[sensor]\nhash_seed = -1", "sensor.hash_seed: -1 is not between 0 and 9223372036854775807"),
        ("[capture]\nring_mebibytes = 1", "capture.ring_mebibytes: 1 is not between 2 and 4096"),
        ("[capture]\npromiscuous = 'yes'", "capture.promiscuous: must be true or false, not a text"),
        ("[capture]\nfilter = 4", "capture.filter: must be a text in quotes, not a whole number"),
        ("[capture]\nfilter = 'not arp'", "capture.filter: must be the numbers that `tcpdump -ddd` prints for a filter"),
        ("[capture]\nfilter = '2\\n6 0 0 0'", "capture.filter: must be the numbers that `tcpdump -ddd` prints for a filter"),
        ("[capture]\nfilter = '2, 6 0 0 0'", "capture.filter: must begin with how many instructions follow, which are 1"),
        ("[capture]\nfilter = '6 0 0 0'", "capture.filter: must begin with how many instructions follow, which are 0"),
        ("[capture]\nfilter = '0'", "capture.filter: must have 1 to 4096 instructions"),
        ("[capture]\nfilter = '1, 6 0 256 0'", "capture.filter: instruction 0 is not a code, two jumps and an operand"),
        ("[capture]\nfilter = '2, 6 0 0 0, 6 0 0'", "capture.filter: instruction 1 is not a code, two jumps and an operand"),
        ("[capture]\nfilter = '1, 40 0 0 12'", "capture.filter: must end with a return"),
        ("[sensor.idle]\ncalls_s = 0", "sensor.idle.calls_s: 0 is not between 1 and 86400"),
        ("[sensor.idle]\ncalls = 5", "sensor.idle.calls: unknown key (did you mean 'calls_s'?)"),
        ("[store]\nurl = 'mysql://u:secret@h/d'", "store.url: is not a URL of sqlite:// or postgresql://"),
        ("[signatures]\nown = 'nowhere'", "signatures.own: 'nowhere' is not a folder"),
        ("[policy]\ndisallowed = ['whatsap']", "policy.disallowed[0]: 'whatsap' is no known app (did you mean 'whatsapp'?)"),
        ("[policy]\napproved = ['WhatsApp']", "policy.approved[0]: 'WhatsApp' is no known app (did you mean 'whatsapp'?)"),
        ("[policy]\napproved = ['zoom', 'zoom']", "policy.approved[1]: 'zoom' is listed twice"),
        ("[policy]\napproved = ['zoom']\ndisallowed = ['teams', 'zoom']", "policy.disallowed[1]: 'zoom' is in policy.approved too"),
        ("[policy]\nunlisted = 'review'", "policy.unlisted: 'review' is none of unreviewed, allowed, violation"),
        ("[policy]\nbackground = 'loud'", "policy.background: 'loud' is none of information, low, medium, high"),
        ("[policy]\nminimum_strength = 'supporting'", "policy.minimum_strength: 'supporting' is none of strong, conclusive"),
        (VARIANT.replace('["a.zoom.us"]', "[]"), "policy.variant[0].hosts: must not be empty"),
        (VARIANT.replace("a.zoom.us", "https://a.zoom.us"), "policy.variant[0].hosts[0]: 'https://a.zoom.us' is not a host name, such as 'example.zoom.us'"),
        (VARIANT.replace('reason = "r"', ""), "policy.variant[0].reason: is missing"),
        (EXCEPTION.replace('owner = "o"', ""), "policy.exception[0].owner: is missing"),
        (EXCEPTION.replace('reason = "r"', ""), "policy.exception[0].reason: is missing"),
        (EXCEPTION.replace('apps = ["zoom"]', ""), "policy.exception[0].apps: is missing"),
        (EXCEPTION + EXCEPTION, "policy.exception[1].name: 'e' is the name of exception[0] too"),
        (f"{WARD}{EXCEPTION}where = ['Wards']", "policy.exception[0].where[0]: 'Wards' is no network (did you mean 'Ward'?)"),
        (f"{EXCEPTION}devices = ['Front desk']", "policy.exception[0].devices[0]: 'Front desk' is neither a MAC nor an IP address nor a label of devices.names"),
        (f"{EXCEPTION}activities = ['calls']", "policy.exception[0].activities[0]: 'calls' is none of background, messaging, file_transfer, call_attempt, voice_call, video_call, meeting"),
        (f"{EXCEPTION}from = '2026-03-01'", "policy.exception[0].from: '2026-03-01' must be without quotes, such as 2026-03-01 or 2026-03-01T08:00:00"),
        (f"{EXCEPTION}until = 9999-12-31", "policy.exception[0].until: 9999-12-31 is out of range"),
        (f"{EXCEPTION}from = 0001-01-01T00:00:00+10:00", "policy.exception[0].from: 0001-01-01 00:00:00+10:00 is out of range"),
        (f"{EXCEPTION}from = 08:00:00", "policy.exception[0].from: must be a date or a date and time, not a date or time"),
        (f"{EXCEPTION}from = 2026-03-02\nuntil = 2026-03-01", "policy.exception[0].until: is not after from"),
        (f"{EXCEPTION}from = 2026-03-01T10:00:00Z\nuntil = 2026-03-01T10:00:00Z", "policy.exception[0].until: is not after from"),
        (SCHEDULE.replace("08:00", "8:00"), "policy.schedule[0].from: '8:00' is not a time of day, such as '08:00'"),
        (SCHEDULE.replace("20:00", "24:01"), "policy.schedule[0].to: '24:01' is not a time of day, such as '08:00'"),
        (SCHEDULE.replace("08:00", "24:00"), "policy.schedule[0].from: '24:00' is not a time of day, such as '08:00'"),
        (SCHEDULE.replace('"08:00"', "08:00:30"), "policy.schedule[0].from: 08:00:30 must be a whole minute"),
        (SCHEDULE.replace("08:00", "20:00"), 'policy.schedule[0].to: is the same as from; a whole day is from = "00:00", to = "24:00"'),
        (f"{SCHEDULE}days = ['monday']", "policy.schedule[0].days[0]: 'monday' is none of mon, tue, wed, thu, fri, sat, sun"),
        (SCHEDULE.replace('"allowed"', '"review"'), "policy.schedule[0].outcome: 'review' is none of allowed, violation"),
        (SCHEDULE + SCHEDULE, "policy.schedule[1].name: 's' is the name of schedule[0] too"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line(text, message):
    assert message_of(text) == message


def test_a_password_is_never_repeated():
    settings = config.loads("[store]\nurl = 'postgresql://u:secret@h/d'")
    assert settings.store.url == "postgresql://u:secret@h/d"
    assert "secret" not in repr(settings)
    assert "secret" not in message_of("[store]\nurl = 'postgres://u:secret@h/d'")


def test_ids_of_apps_are_looked_up_only_where_they_are_known():
    assert config.loads("[policy]\napproved = ['some_app']").policy.approved == ("some_app",)
    with pytest.raises(ConfigError, match=r"config: policy.approved\[0\]: 'Some App' is not the id of an app"):
        config.loads("[policy]\napproved = ['Some App']")


def test_what_is_approved_leaves_the_list_of_the_disallowed_by_default():
    assert config.loads("[policy]\napproved = ['zoom']").policy.disallowed == ("whatsapp", "facetime", "messenger")


def test_networks_may_share_addresses_that_tags_tell_apart():
    text = "[[network]]\nname = 'a'\ncidrs = ['10.0.0.0/8']\nvlans = [1]\n[[network]]\nname = 'b'\ncidrs = ['10.0.0.0/8']\n"
    assert len(config.loads(text).networks) == 2
    assert len(config.loads(f"{text}vlans = [2]").networks) == 2
    assert message_of(f"{text}vlans = [2, 1]") == "network[1].cidrs[0]: belongs to network[0] 'a' too"


def test_days_and_times_are_of_the_site():
    text = '[site]\ntimezone = "Europe/Madrid"\n' + EXCEPTION
    dated = config.loads(f"{text}from = 2026-03-29\nuntil = 2026-03-29").policy.exceptions[0]
    assert (dated.from_ns, dated.until_ns) == (ns(2026, 3, 28, 23), ns(2026, 3, 29, 22))  # the day of 23 hours
    timed = config.loads(f"{text}from = 2026-07-01T08:00:00\nuntil = 2026-07-01T08:00:00Z").policy.exceptions[0]
    assert (timed.from_ns, timed.until_ns) == (ns(2026, 7, 1, 6), ns(2026, 7, 1, 8))


def test_a_local_time_that_a_change_of_clocks_skips_or_repeats():
    text = '[site]\ntimezone = "Europe/Madrid"\n' + EXCEPTION
    skipped = config.loads(f"{text}from = 2026-03-29T02:30:00").policy.exceptions[0]
    repeated = config.loads(f"{text}from = 2026-10-25T02:30:00").policy.exceptions[0]
    assert (skipped.from_ns, repeated.from_ns) == (ns(2026, 3, 29, 1, 30), ns(2026, 10, 25, 0, 30))


def test_times_of_day_may_be_toml_times():
    rule = config.loads(SCHEDULE.replace('"08:00"', "08:30:00").replace("20:00", "24:00")).policy.schedules[0]
    assert (rule.from_minute, rule.to_minute) == (510, 1440)


def test_a_label_stands_for_all_its_devices():
    text = (
        '[devices.names]\n"02-00-5E-00-53-01" = "Cart"\n"10.0.0.1" = "Cart"\n'
        + EXCEPTION
        + 'devices = ["Cart", "2001:DB8::1"]'
    )
    rule = config.loads(text).policy.exceptions[0]
    assert rule.devices == ("ip:10.0.0.1", "ip:2001:db8::1", "mac:02:00:5e:00:53:01")


def test_the_clinics_signatures_lie_beside_the_file(tmp_path: Path):
    (tmp_path / "own").mkdir()
    path = tmp_path / "clinic.toml"
    path.write_text("[signatures]\nown = 'own'", "utf-8")
    assert config.load(path).signatures.own == tmp_path / "own"


TOML_VALUES = st.sampled_from(
    ["1", "-1", "true", "1.5", "nan", "''", "'x'", "'10.0.0.0/8'", "[]", "[1]", "['x']", "[[]]", "{}", "{x = 1}", "2026-03-01", "08:00:00", "[{}]"]
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "site",
        "network",
        "devices",
        "sensor",
        "store",
        "signatures",
        "policy",
        "site.name",
        "site.timezone",
        "devices.routers",
        "devices.names",
        "sensor.idle",
        "sensor.hash_seed",
        "store.url",
        "signatures.own",
        "policy.approved",
        "policy.variant",
        "policy.exception",
        "policy.schedule",
    ]
)


@given(st.dictionaries(KEYS, TOML_VALUES, max_size=3))
def test_any_value_anywhere_gives_settings_or_one_line(values):
    text = "".join(f"{key} = {value}\n" for key, value in values.items())
    message = "good"
    try:
        config.loads(text)
    except ConfigError as error:
        message = str(error)
    assert len(message.splitlines()) == 1


def test_what_hides_apps_is_recorded_unless_said_otherwise():
    said = config.loads('[policy.visibility]\nvpn = "violation"\necn = "review"'.replace("ecn", "ech")).policy
    assert said.visibility == (("ech", HiddenOutcome.REVIEW), ("vpn", HiddenOutcome.VIOLATION))
    assert config.loads('[policy.visibility]\nvpn = "record"').policy.visibility == ()


def test_the_kinds_are_those_of_the_signatures():
    assert config.HIDING == visibility.KINDS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[policy.visibility]\nvpm = "review"', "policy.visibility.vpm: "),
        (
            '[policy.visibility]\nvpn = "allowed"',
            "policy.visibility.vpn: 'allowed' is none of record, ignore, review, violation",
        ),
        ('[policy]\napproved = ["vpn"]', "policy.approved[0]: 'vpn' is no known app"),
    ],
)
def test_mistakes_about_what_hides_apps(text, message):
    assert message in message_of(text)


def test_exceptions_and_schedules_may_name_what_hides_apps():
    text = '[[policy.exception]]\nname = "Own"\napps = ["vpn"]\nreason = "Remote work"\nowner = "IT"'
    assert config.loads(text, known_apps=APPS).policy.exceptions[0].apps == ("vpn",)
