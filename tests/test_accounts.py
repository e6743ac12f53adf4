"""Hosts that tell whose account it is."""

from __future__ import annotations

import pytest

from sensor.accounts import is_below, zone_of


@pytest.mark.parametrize(
    "host", ["example.zoom.us", "other-clinic.zoom.us", "some1.zoom.com", "x-university.zoomgov.com"]
)
def test_customers_of_zoom(host):
    assert zone_of("zoom", ()).is_account(host)


@pytest.mark.parametrize(
    "host",
    [
        "zoom.us",
        "www.zoom.us",
        "www3.zoom.us",
        "us02web.zoom.us",
        "us05www3.zoom.us",
        "us04xmpp2.zoom.us",
        "eu01web.zoom.us",
        "web-us05-internal1.zoom.us",
        "log.zoom.us",
        "logfiles.zoom.us",
        "explore.zoom.us",
        "support.zoom.us",
        "marketplace.zoom.us",
        "applications.zoom.us",
        "zoomfr85zc.zoom.us",
        "zoomfrn99mmr.zoom.us",
        "zoomam104zc.zoom.us",
        "st1.zoom.us",
        "zoomdv1mmr.eu.zoom.us",
        "example.zoom.us.evil.example",
        "zoom.example.org",
    ],
)
def test_hosts_that_all_customers_of_zoom_share(host):
    assert not zone_of("zoom", ("example.zoom.us",)).is_account(host)


def test_webex_sites():
    zone = zone_of("webex", ())
    assert zone.is_account("example.webex.com")
    assert not zone.is_account("meet12.webex.com")
    assert not zone.is_account("idbroker-b-us.webex.com")


def test_an_app_without_a_table_has_the_zone_of_the_clinics_hosts():
    zone = zone_of("jitsi", ("calls.example.org", "b.example.net"))
    assert zone.zones == ("example.net", "example.org")
    assert zone.is_account("a.example.net")
    assert not zone.is_account("www.example.net")
    assert zone_of("jitsi", ("example.org",)).zones == ()  # "org" is nobody's zone


def test_below_is_by_label():
    assert is_below("example.zoom.us", "example.zoom.us")
    assert is_below("a.example.zoom.us", "example.zoom.us")
    assert not is_below("badexample.zoom.us", "example.zoom.us")
