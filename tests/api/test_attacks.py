"""Tests that try to get in, or to make others do what they did not want."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from argon2 import PasswordHasher

from api.app import create_app
from api.shield import Buckets
from api.signed_in import COOKIE
from sensor.services.accounts import Accounts, BlockedError, SignInError
from sensor.settings_api import ApiSettings
from tests.api.visiting import PASSWORD, SITE, Visitor
from tests.services.clinic import OFFICER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

    from sensor.services.desk import Desk

FIRST = f"{1:016x}"
OPEN_TO_ALL = {("POST", "/api/v1/session"), ("POST", "/api/v1/welcome")}
OPEN_PAGES = ("/static", "/sign-in", "/welcome", "/api/v1/openapi.json")
EXAMPLES = {"id": FIRST, "act": "0" * 16, "pseudonym": "D-AAAA-AAAA", "hash": "policy-one", "form": "csv", "name": "otto",
            "store_id": "0" * 32}  # fmt: skip


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path of the API, with examples in its places."""
    for path, methods in app.openapi()["paths"].items():
        for method in methods:
            yield method.upper(), re.sub(r"\{(\w+)\}", lambda match: EXAMPLES.get(match[1], "x"), path)


def test_every_route_of_the_api_is_closed_to_who_is_not_signed_in(app: FastAPI, nobody: Visitor) -> None:
    found = list(routes(app))
    assert len(found) > 35
    for method, path in found:
        if (method, path) not in OPEN_TO_ALL:
            answer = nobody.request(method, path, headers={"X-CSRF-Token": "x"})
            assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json"), path


def test_every_page_too(app: FastAPI, nobody: Visitor) -> None:
    documented = app.openapi()["paths"]
    for route in _flat(app.routes):
        path = re.sub(r"\{(\w+)(:\w+)?\}", lambda match: EXAMPLES.get(match[1], "x"), route.path)
        if route.path in documented or path.startswith(OPEN_PAGES):
            continue
        for method in sorted((route.methods or set()) - {"HEAD"}):
            answer = nobody.request(method, path)
            assert answer.status_code in {303, 401, 403, 404}, (method, path)
            if answer.status_code == 303:
                assert answer.headers["location"].startswith(("/sign-in", "/")), path
                assert not answer.headers["location"].startswith("//"), path
            assert "D-" not in answer.text.replace("Content-D", ""), path


def _flat(found: Any) -> Iterator[Any]:
    for route in found:
        if hasattr(route, "methods"):
            yield route
        elif hasattr(route, "routes") and route.routes:
            yield from _flat(route.routes)


CHANGING = [
    ("POST", f"/api/v1/violations/{FIRST}/changes", {"action": "acknowledge"}),
    ("POST", "/api/v1/changes", {"action": "acknowledge", "targets": [{"id": FIRST, "version": 0}]}),
    ("POST", f"/api/v1/acts/{'0' * 16}/undo", {}),
    (
        "POST",
        "/api/v1/exceptions",
        {"violation": FIRST, "reason": "long enough reason", "until": "2199-01-01T00:00:00Z"},
    ),
    ("POST", "/api/v1/exceptions/none/end", {"why": "long enough reason"}),
]
ADMINISTERING = [
    ("GET", "/api/v1/users", None),
    ("POST", "/api/v1/users", {"name": "eve", "role": "admin", "password": "a long pass phrase"}),
    ("PATCH", "/api/v1/users/ada", {"role": "viewer"}),
]


@pytest.mark.parametrize(("method", "path", "body"), [*CHANGING, *ADMINISTERING])
def test_the_wrong_role_changes_nothing(
    viewer: Visitor, auditor: Visitor, officer: Visitor, desk: Desk, method: str, path: str, body: object
) -> None:
    wrong = [viewer, auditor] if (method, path, body) in CHANGING else [viewer, auditor, officer]
    for who in wrong:
        answer = who.request(method, path, json=body, headers={"If-Match": '"0"'})
        assert answer.status_code == 403, (path, answer.text)
    assert desk.store.follow_up.history([FIRST]) == []
    assert desk.exceptions.listed(OFFICER) == ()


@pytest.mark.parametrize(("method", "path", "body"), CHANGING)
def test_another_sessions_token_or_another_site_changes_nothing(
    app: FastAPI, officer: Visitor, admin: Visitor, desk: Desk, method: str, path: str, body: object
) -> None:
    stolen = admin.headers["X-CSRF-Token"]
    for headers in (
        {"X-CSRF-Token": stolen},
        {"X-CSRF-Token": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost"},
        {"Origin": "https://localhost.evil.example"},
        {"Origin": "https://localhost:444"},
    ):
        answer = officer.request(method, path, json=body, headers={"If-Match": '"0"', **headers})
        assert answer.status_code == 403, headers
    del officer.headers["Origin"]
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Referer": "https://evil.example/"},
    ):
        answer = officer.request(method, path, json=body, headers={"If-Match": '"0"', **headers})
        assert answer.status_code == 403, headers
    assert desk.store.follow_up.history([FIRST]) == []


def test_signing_in_from_another_site_is_refused(nobody: Visitor) -> None:
    body = {"name": "otto", "password": PASSWORD}
    answer = nobody.post("/api/v1/session", json=body, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_session_that_was_put_on_somebody_is_not_theirs_after_signing_in(app: FastAPI, nobody: Visitor) -> None:
    nobody.cookies.set(COOKIE, "chosen-by-the-attacker", domain="localhost.local")
    nobody.sign_in("otto")
    given = [value for name, value in nobody.cookies.items() if name == COOKIE and value != "chosen-by-the-attacker"]
    assert given
    with Visitor(app) as attacker:
        attacker.headers["Cookie"] = f"{COOKIE}=chosen-by-the-attacker"
        assert attacker.get("/api/v1/session").status_code == 401
    first = given[0]
    nobody.sign_in("otto")
    with Visitor(app) as attacker:
        attacker.headers["Cookie"] = f"{COOKIE}={first}"
        assert attacker.get("/api/v1/session").status_code == 401  # signing in again ended it


def test_the_cookie_is_for_this_host_alone(nobody: Visitor) -> None:
    answer = nobody.post("/api/v1/session", json={"name": "otto", "password": PASSWORD})
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "secure", "path=/", "samesite=lax"} <= parts
    assert answer.headers["set-cookie"].startswith("__Host-")
    assert not any(part.startswith("domain") for part in parts)


def test_signing_out_ends_the_session_for_whoever_has_the_cookie(app: FastAPI, officer: Visitor) -> None:
    token = officer.cookies[COOKIE]
    assert officer.delete("/api/v1/session").status_code == 204
    with Visitor(app) as attacker:
        attacker.headers["Cookie"] = f"{COOKIE}={token}"
        assert attacker.get("/api/v1/session").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/static/../api/app.py", "/static/..%2f..%2fpyproject.toml", "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static//etc/passwd", "/static/%00", "/static/....//....//etc/passwd", "/static/C:%5cwindows",
    ],
)  # fmt: skip
def test_nothing_is_read_outside_the_static_files(nobody: Visitor, path: str) -> None:
    answer = nobody.get(path)
    assert answer.status_code in {400, 404, 405}
    assert "root:" not in answer.text


def test_bodies_are_bounded(officer: Visitor, desk: Desk) -> None:
    limit = ApiSettings().body_kibibytes << 10
    path = f"/api/v1/violations/{FIRST}/changes"
    json = {"Content-Type": "application/json", "If-Match": '"0"'}
    assert officer.post(path, content=b"x" * (limit + 1), headers=json).status_code == 413

    def without_length() -> Iterator[bytes]:
        for _ in range(limit // 4096 + 1):
            yield b" " * 4096

    assert officer.post(path, content=without_length(), headers=json).status_code == 413
    assert officer.post(path, content=b"{}", headers={**json, "Content-Length": "-1"}).status_code == 413
    deep = b'{"action":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    assert officer.post(path, content=deep, headers=json).status_code == 400
    assert officer.post(path, content=b"\xff\xfe{}", headers=json).status_code in {400, 422}
    assert desk.store.follow_up.history([FIRST]) == []


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "localhost@evil.example", "[::2]"])
def test_a_name_that_is_not_ours_is_not_answered(nobody: Visitor, host: str) -> None:
    assert nobody.get("/api/v1/session", headers={"Host": host}).status_code == 421


def test_nothing_that_is_sent_becomes_a_header(officer: Visitor) -> None:
    for path in (
        "/%0d%0aX-Evil:%201",
        "/sign-in?next=%0d%0aX-Evil:%201",
        "/api/v1/exports/violations.csv%0d%0aX-Evil:1",
    ):
        answer = officer.get(path)
        assert "x-evil" not in answer.headers
    answer = officer.get("/api/v1/siem", params={"after": "x\r\nX-Evil: 1"})
    assert (answer.status_code, "x-evil" in answer.headers) == (422, False)


def test_every_answer_says_what_a_browser_may_do_with_it(officer: Visitor, nobody: Visitor) -> None:
    for answer in (officer.get("/api/v1/violations"), nobody.get("/api/v1/violations"), nobody.get("/nowhere"),
                   nobody.get("/api/v1/x"), nobody.get("/", headers={"Host": "evil.example"})):  # fmt: skip
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["strict-transport-security"]
        assert "server" not in answer.headers


def test_several_failures_make_one_wait_whether_there_is_such_a_user_or_not(nobody: Visitor) -> None:
    told = {}
    for name in ("otto", "nobody-of-that-name"):
        answers = [nobody.post("/api/v1/session", json={"name": name, "password": "wrong"}) for _ in range(6)]
        told[name] = [(one.status_code, one.json()["detail"]) for one in answers]
        assert [status for status, _ in told[name]] == [401] * 5 + [429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        right = nobody.post("/api/v1/session", json={"name": name, "password": PASSWORD})
        assert right.status_code == 429  # also the right one has to wait: else guessing would go on
    assert told["otto"] == told["nobody-of-that-name"]


def test_waiting_doubles_and_ends(desk: Desk) -> None:
    clock = [10**18]
    desk.material.now_ns = lambda: clock[0]
    waits = []
    for _ in range(12):
        with pytest.raises(SignInError):
            desk.accounts.sign_in("otto", "wrong", "192.0.2.1")
        try:
            desk.accounts.sign_in("otto", "wrong", "192.0.2.2")
        except BlockedError as blocked:
            waits.append(blocked.wait_s)
            clock[0] += blocked.wait_s * 10**9
        except SignInError:
            pass
    assert waits == sorted(waits)
    assert waits[-1] <= 900
    assert desk.accounts.sign_in("otto", PASSWORD, "192.0.2.1").who.name == "otto"


def test_an_unknown_name_takes_as_long_as_a_known_one(desk: Desk) -> None:
    """With argon2's own cost: without the comparison an unknown name would be answered a hundred times sooner."""
    accounts = Accounts(desk.material, ApiSettings(), PasswordHasher())
    accounts.add("test", "slow", OFFICER.role, PASSWORD)
    times: dict[str, list[float]] = {"slow": [], "unknown": []}
    for _ in range(4):
        for name, taken in times.items():
            began = time.perf_counter()
            with pytest.raises(SignInError):
                accounts.sign_in(name, "wrong", f"192.0.2.{len(taken)}")
            taken.append(time.perf_counter() - began)
    known, unknown = (min(taken) for taken in times.values())
    assert 0.1 < unknown / known < 10


def test_who_asks_too_often_has_to_wait(desk: Desk) -> None:
    app = create_app(desk, ApiSettings(requests_per_minute=60))
    with Visitor(app) as visitor:
        visitor.sign_in("vera")
        statuses = [visitor.get("/api/v1/session").status_code for _ in range(14)]
        assert statuses[:9] == [200] * 9
        assert statuses[-1] == 429
        assert int(visitor.get("/api/v1/session").headers["retry-after"]) >= 1


def test_buckets_fill_again_and_are_bounded() -> None:
    now = [0.0]
    buckets = Buckets(60, lambda: now[0])
    assert [buckets.wait_s("a") for _ in range(10)] == [0.0] * 10
    assert buckets.wait_s("a") == pytest.approx(1.0)
    now[0] = 2.0
    assert [buckets.wait_s("a") > 0 for _ in range(3)] == [False, False, True]
    for number in range(20_000):
        buckets.wait_s(str(number))
    assert len(buckets._levels) <= 10_000


def test_a_one_time_link_works_once(app: FastAPI, desk: Desk, nobody: Visitor) -> None:
    assert desk.accounts.first_invitation() is None  # there are users
    token = desk.accounts.invite("test")
    body = {"token": token, "name": "first", "password": "a long pass phrase"}
    assert nobody.post("/api/v1/welcome", json={**body, "token": "guess"}).status_code == 403
    assert nobody.post("/api/v1/welcome", json={**body, "password": "short"}).status_code == 422
    assert nobody.post("/api/v1/welcome", json=body, headers={"Origin": "https://evil.example"}).status_code == 403
    assert nobody.post("/api/v1/welcome", json=body).status_code == 204
    assert nobody.post("/api/v1/welcome", json={**body, "name": "second"}).status_code == 403
    nobody.sign_in("first", "a long pass phrase")


def test_secrets_are_in_the_store_as_hashes_only(desk: Desk, officer: Visitor) -> None:
    token, csrf = officer.cookies[COOKIE], officer.headers["X-CSRF-Token"]
    secret = officer.post("/api/v1/keys", json={"title": "t", "scopes": ["read"]}).json()["secret"]
    invitation = desk.accounts.invite("test")
    with desk.store._engine.connect() as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
        held = " ".join(str(row) for name in tables for row in connection.exec_driver_sql(f"SELECT * FROM {name}"))
    for one in (token, secret, secret.rpartition("_")[2], invitation, PASSWORD):
        assert one not in held
    assert csrf in held  # worth nothing without the cookie


def test_a_session_ends_by_itself(desk: Desk, officer: Visitor) -> None:
    real = desk.material.now_ns
    assert officer.get("/api/v1/session").status_code == 200
    desk.material.now_ns = lambda: real() + 61 * 60 * 10**9  # idle
    assert officer.get("/api/v1/session").status_code == 401
    desk.material.now_ns = real

    def later(minutes: int) -> int:
        return real() + minutes * 60 * 10**9

    for minutes in range(0, 12 * 60, 50):  # used all day long
        desk.material.now_ns = partial(later, minutes)
        assert officer.get("/api/v1/session").status_code == 200
    desk.material.now_ns = lambda: real() + (12 * 60 + 1) * 60 * 10**9
    assert officer.get("/api/v1/session").status_code == 401


def test_another_persons_consent_is_by_their_password(desk: Desk) -> None:
    settings = ApiSettings(second_person=True)
    desk.identities._settings = settings
    with Visitor(create_app(desk, settings)) as officer:
        officer.sign_in("otto")
        path = f"/api/v1/devices/{officer.rows()[0]['device']['pseudonym']}/unmaskings"
        body: dict[str, Any] = {"reason": "the ward asks which one it is"}
        assert officer.post(path, json=body).status_code == 422
        for name, password, status in (("otto", PASSWORD, 422), ("vera", PASSWORD, 422), ("ada", "wrong", 401)):
            answer = officer.post(path, json=body | {"consent": {"name": name, "password": password}})
            assert answer.status_code == status, name
        answer = officer.post(path, json=body | {"consent": {"name": "axel", "password": PASSWORD}})
        assert (answer.status_code, answer.json()["reason"]) == (201, f"{body['reason']} (with the consent of axel)")


def test_a_site_is_what_a_browser_says_it_is(officer: Visitor) -> None:
    assert officer.headers["Origin"] == SITE
    assert officer.change(FIRST, 0, action="acknowledge").status_code == 200
