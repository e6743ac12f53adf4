from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from api.app import create_app
from sensor.services.desk import Desk
from sensor.services.people import Role
from sensor.store import open_store
from tests.api.visiting import HASHER, PASSWORD, Visitor
from tests.services.clinic import ADMIN, AUDITOR, OFFICER, VIEWER, made_setup, morning
from tests.store.make import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The small clinic's desk, with a user for each role."""
    store = open_store(tmp_path / "store.sqlite")
    store.append(morning(), snapshots=KNOWN)
    with Desk(store, made_setup(), hasher=PasswordHasher(**HASHER)) as opened:
        for who in (VIEWER, OFFICER, AUDITOR, ADMIN):
            opened.accounts.add("test", who.name, Role(who.role), PASSWORD)
        yield opened


@pytest.fixture
def app(desk: Desk) -> FastAPI:
    return create_app(desk)


@pytest.fixture
def nobody(app: FastAPI) -> Iterator[Visitor]:
    with Visitor(app) as visitor:
        yield visitor


@pytest.fixture
def officer(app: FastAPI) -> Iterator[Visitor]:
    with Visitor(app) as visitor:
        yield visitor.sign_in("otto")


@pytest.fixture
def viewer(app: FastAPI) -> Iterator[Visitor]:
    with Visitor(app) as visitor:
        yield visitor.sign_in("vera")


@pytest.fixture
def auditor(app: FastAPI) -> Iterator[Visitor]:
    with Visitor(app) as visitor:
        yield visitor.sign_in("axel")


@pytest.fixture
def admin(app: FastAPI) -> Iterator[Visitor]:
    with Visitor(app) as visitor:
        yield visitor.sign_in("ada")
