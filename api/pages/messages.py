"""`python -m api.pages.messages`: puts every message of templates and pages into the catalogues; what is translated stays."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING, Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from api.pages.language import HERE, LOCALE, SOURCE, TEMPLATES, catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable

# say() fills places in braces, which are no format that Babel knows.
KEYWORDS: Final = {"_": None, "gettext": None, "ngettext": (1, 2), "say": None, "N_": None}
TEMPLATE_OPTIONS: Final = {"newstyle_gettext": "true", "silent": "false", "extensions": "jinja2.ext.do"}


def extracted() -> Catalog:
    """Every message that pages may say."""
    made = Catalog(project="wardwatch", charset="utf-8")
    pages: Iterable[tuple[str, int, object, list[str], object]] = extract_from_dir(
        str(HERE / "pages"), [("**.py", "python")], keywords=KEYWORDS
    )
    templates = extract_from_dir(
        str(TEMPLATES), [("**.html", "jinja2")], {"**.html": TEMPLATE_OPTIONS}, keywords=KEYWORDS
    )
    for folder, found in (("pages", pages), ("templates", templates)):
        for file, _, message, _, _ in found:
            made.add(message, locations=[(f"api/{folder}/{file}", 0)])  # type: ignore[arg-type]  # a text or a pair
    return made


def update(code: str) -> Catalog:
    """A language's catalogue with what is new, and without what is said no more."""
    with catalogue(code).open("rb") as file:
        known = read_po(file, locale=code)
    known.update(extracted(), no_fuzzy_matching=True)
    known.obsolete.clear()
    return known


def written(made: Catalog) -> bytes:
    """As it is kept: sorted, without times, places and names that would change with every run."""
    out = BytesIO()
    write_po(out, made, width=120, no_location=True, sort_output=True, ignore_obsolete=True, omit_header=True)
    header = "".join(f'"{line}\\n"\n' for line in (
        f"Language: {made.locale}", f"Plural-Forms: {made.plural_forms}", "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit",
    ))  # fmt: skip
    return f'msgid ""\nmsgstr ""\n{header}\n'.encode() + out.getvalue()


def main() -> int:
    """Writes them, and names what is not translated yet."""
    missing = 0
    for folder in sorted(LOCALE.iterdir()):
        if folder.is_dir() and folder.name not in {SOURCE, "__pycache__"}:
            made = update(folder.name)
            catalogue(folder.name).write_bytes(written(made))
            missing += sum(1 for message in made if message.id and not all(message.string or ("",)))
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
