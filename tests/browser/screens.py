"""`make screens`: pictures of every page into docs/screens, light, dark and on a telephone, of the demo's morning."""

from __future__ import annotations

import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from PIL import Image
from playwright.sync_api import sync_playwright

from pcaps.demo import CONFIG
from sensor import setup
from sensor.services.desk import Desk
from sensor.services.exceptions import Wanted
from sensor.services.people import Role, somebody
from sensor.services.query import Query
from sensor.store import open_store
from tests.api.visiting import HASHER, PASSWORD
from tests.browser import fortnight
from tests.browser.serving import CHROMIUM, FLAGS, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OUT: Final = Path(__file__).parents[2] / "docs" / "screens"
WIDE, NARROW = (1280, 860), (360, 760)
LONGEST: Final = 1500  # pixels of height that are kept
MOST_BYTES: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Shot:
    name: str
    path: str
    code: str = "en"
    is_whole: bool = True  # else what fits the window


def shots(desk: Desk) -> list[Shot]:
    """Every page."""
    otto = somebody("otto", Role.OFFICER)
    rows = desk.violations.page(otto, Query(since_ns=fortnight.MIDNIGHT_NS, severities=("high",)), limit=20).rows
    one = next(row for row in rows if row.state == "investigating")
    device = desk.overview.devices(otto, Query(), limit=1).rows[0].device.pseudonym
    return [
        Shot("sign-in", "/sign-in"),
        Shot("today", "/"),
        Shot("violations", "/violations", is_whole=False),
        Shot("violation", f"/violations/{one.id}"),
        Shot("exception", f"/violations/{one.id}/exception"),
        Shot("exceptions", "/exceptions"),
        Shot("devices", "/devices"),
        Shot("device", f"/devices/{device}"),
        Shot("visibility", "/visibility?day=2026-03-17"),
        Shot("week", "/week?week=2026-W11"),
        Shot("policy", "/policy"),
        Shot("help", "/help"),
        Shot("today-es", "/", "es"),
    ]


def main(only: list[str]) -> int:
    """All of them, or those named. Fails where they would be too large together."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        url = fortnight.replayed(Path(folder) / "store.sqlite")
        with open_store(url) as store:
            fortnight.fill(store)
        desk = Desk(open_store(url), setup.read(str(CONFIG)), now_ns=lambda: fortnight.NOW_NS,
                    hasher=PasswordHasher(**HASHER))  # fmt: skip
        with desk:
            for name in ("otto", "olga"):
                desk.accounts.add("screens", name, Role.OFFICER, PASSWORD)
            fortnight.follow(desk, leave=6)
            _except(desk)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            with served(desk) as site:
                for variant, size, scheme in (
                    ("light", WIDE, "light"),
                    ("dark", WIDE, "dark"),
                    ("narrow", NARROW, "light"),
                ):
                    _take(browser, site, shots(desk), variant, size, scheme, only)
            browser.close()
    total = sum(path.stat().st_size for path in OUT.glob("*.webp"))
    print(f"{total} bytes in {len(list(OUT.glob('*.webp')))} pictures")  # noqa: T201 - what somebody at a terminal waits for
    return int(total > MOST_BYTES)


def _except(desk: Desk) -> None:
    otto = somebody("otto", Role.OFFICER)
    row = desk.violations.page(otto, Query(apps=("zoom",)), limit=1, with_facets=False).rows[0]
    desk.exceptions.make(otto, Wanted(row.id, "Tumour board with the university hospital, over its own account",
                                      fortnight.NOW_NS + 30 * fortnight.DAY_NS, owner="Head of oncology",
                                      name="Tumour board", same_activity=True))  # fmt: skip


def _take(
    browser: Browser, site: str, wanted: list[Shot], variant: str, size: tuple[int, int], scheme: str, only: list[str]
) -> None:
    pages: dict[str, Page] = {}
    for shot in wanted:
        if (only and shot.name not in only) or (shot.code == "es" and variant != "light"):
            continue
        if shot.code not in pages:
            context = browser.new_context(locale=shot.code, viewport={"width": size[0], "height": size[1]},
                                          color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")  # fmt: skip
            pages[shot.code] = context.new_page()
        page = pages[shot.code]
        page.goto(site + shot.path)
        if shot.path != "/sign-in" and "/sign-in" in page.url:
            page.locator('input[name="name"]').fill("otto")
            page.locator('input[name="password"]').fill(PASSWORD)
            page.locator("main button.primary").click()
            page.wait_for_load_state()
        if shot.name == "exception":
            page.locator('input[name="reason"]').fill(
                "Consultations with the partner clinic until its own platform is ready"
            )
            page.locator('button[value="look"]').click()
            page.wait_for_selector("#preview .short-list")
        page.evaluate("document.fonts.ready")
        page.mouse.move(0, 0)
        taken = Image.open(io.BytesIO(page.screenshot(full_page=shot.is_whole)))
        picture = taken.convert("RGB").crop((0, 0, taken.width, min(taken.height, LONGEST)))
        picture.save(OUT / f"{shot.name}-{variant}.webp", quality=70, method=4)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
