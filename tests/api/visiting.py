"""Somebody who asks the API as a browser does: with cookies, an origin, and the session's token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

if TYPE_CHECKING:
    from fastapi import FastAPI
    from httpx import Response

PASSWORD = "a long enough pass phrase"
HASHER: dict[str, Any] = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}  # quick, for tests only
SITE = "https://localhost"


class Visitor(TestClient):
    """`csrf` goes with every request that changes something, once signed in."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(app, base_url=SITE, raise_server_exceptions=False, follow_redirects=False)
        self.headers["Origin"] = SITE

    def sign_in(self, name: str, password: str = PASSWORD) -> Visitor:
        answer = self.post("/api/v1/session", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        self.headers["X-CSRF-Token"] = answer.json()["csrf"]
        return self

    def rows(self, **asked: Any) -> list[dict[str, Any]]:
        answer = self.get("/api/v1/violations", params=asked)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["rows"]
        return found

    def change(self, id_: str, version: int, **order: Any) -> Response:
        path, headers = f"/api/v1/violations/{id_}/changes", {"If-Match": f'"{version}"'}
        answer: Response = self.post(path, json=order, headers=headers)
        return answer
