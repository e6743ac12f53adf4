"""What is wrong or doubtful in signature files: what does not load, examples that fail, overlaps, claims on shared names.

An error means that a verdict would be wrong or the files do not load; a warning, that a claim cannot be checked or that
somebody should have a look. docs/signatures.md lists both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sensor.classify import format as signature_format
from sensor.classify import overlap, visibility, yamlfile
from sensor.classify.signatures import BUILTIN, SignatureSet, extended, files, load
from sensor.errors import SignatureError
from sensor.model import Strength

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sensor.classify.rules import App, Example, Rule
    from sensor.model import RuleMatch

# Zones in which everybody's names live: vendors' whole domains, content networks, clouds. No app owns one.
SHARED_ZONES: Final = frozenset(
    (
        *("facebook.com", "facebook.net", "fbcdn.net", "fbsbx.com", "fb.com", "cdninstagram.com"),
        *("apple.com", "push.apple.com", "ess.apple.com", "icloud.com", "icloud-content.com", "aaplimg.com"),
        *("apple-dns.net", "google.com", "googleapis.com", "gstatic.com", "googleusercontent.com", "l.google.com"),
        *("appspot.com", "microsoft.com", "live.com", "office.com", "microsoftonline.com", "trafficmanager.net"),
        *("cloudapp.net", "cloudapp.azure.com", "azureedge.net", "qq.com", "qpic.cn", "line.me", "line-scdn.net"),
        *("kakao.com", "kakaocdn.net", "naver.jp", "t.me", "sc-static.net", "sc-cdn.net", "snapads.com"),
        *("amazonaws.com", "cloudfront.net", "akamaihd.net", "akamaiedge.net", "akadns.net", "edgekey.net"),
        *("fastly.net", "cloudflare.com", "jitsi.net", "digicert.com", "co.uk", "co.jp", "com.cn", "com.au", "com.br"),
    ),
)
_WHERE: Final = re.compile(r"(?P<file>.*?):(?P<line>\d+): (?P<message>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing found; `level` is "error" or "warning"."""

    file: str
    line: int
    level: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.level}: {self.message}"


def check(path: Path | None = None) -> list[Finding]:
    """Look at our signatures, or at a clinic's own folder or file as it works over ours. Sorted by file and line."""
    ours = path is None or (path.is_dir() and path.resolve() == BUILTIN)
    apps, findings = _read(BUILTIN if path is None else path)
    findings += _together(apps, ours=ours)
    if ours:
        findings += _visibility(visibility.FOLDER)
    return sorted(set(findings))


def _visibility(folder: Path) -> Iterator[Finding]:
    """The same of the files that tell what hides the use of an app."""
    kinds: dict[str, App] = {}
    for file in files(folder):
        try:
            kind = visibility.read(file)
        except SignatureError as error:
            yield _finding(error, file)
            continue
        if kind.id in kinds:
            yield Finding(kind.file, kind.line, "error", f"id: {kind.id!r} is taken by {kinds[kind.id].file}")
        kinds[kind.id] = kind
    apps = load()
    found = visibility.VisibilitySet(kinds, apps)
    for kind in kinds.values():
        for rule in kind.rules:
            yield from _rule(rule, kind)
            for name in rule.outside:
                if name not in apps.rules or not apps.rules[name].ranges:
                    yield _of(rule, "error", f"outside: there is no rule {name} with ranges")
        yield from _examples(kind, kind, found)
    for rule, level, text in overlap.between(kinds.values()):
        if level == "error":
            yield Finding(rule.file, rule.line, level, text)


def _read(path: Path) -> tuple[list[App], list[Finding]]:
    """Every file that can be read, and one finding for each that cannot."""
    apps: dict[str, App] = {}
    findings: list[Finding] = []
    try:
        found = files(path)
    except SignatureError as error:
        return [], [_finding(error, path)]
    if not found:
        findings.append(Finding(str(path), 1, "warning", "no signature file (*.yaml) is here"))
    for file in found:
        try:
            app = signature_format.app(yamlfile.read(file))
        except SignatureError as error:
            findings.append(_finding(error, file))
            continue
        if app.id in apps:
            findings.append(Finding(app.file, app.line, "error", f"id: {app.id!r} is taken by {apps[app.id].file}"))
        else:
            apps[app.id] = app
    return list(apps.values()), findings


def _finding(error: SignatureError, path: Path) -> Finding:
    found = _WHERE.match(str(error))
    if not found:
        return Finding(str(path), 1, "error", str(error))
    return Finding(found["file"], int(found["line"]), "error", found["message"])


def _together(apps: list[App], *, ours: bool) -> list[Finding]:
    """What shows only once the files are put together; `apps` are the files under examination."""
    findings: list[Finding] = []
    builtin = load()
    in_force = {} if ours else dict(builtin.apps)
    looked_at: list[tuple[App, App]] = []  # as written, and as in force
    for app in apps:
        try:
            in_force[app.id] = extended(in_force.get(app.id), app) if app.extends else app
        except SignatureError as error:
            findings.append(_finding(error, BUILTIN))
            continue
        looked_at.append((app, in_force[app.id]))
    signatures = SignatureSet(in_force, builtin.limits)
    for written, effective in looked_at:
        for rule in written.rules:
            findings += _rule(rule, written)
        findings += _examples(written, effective, signatures)
    mine = {rule.match.rule for written, _ in looked_at for rule in written.rules}
    said = overlap.between(signatures.apps.values())
    return findings + [
        Finding(rule.file, rule.line, level, text) for rule, level, text in said if rule.match.rule in mine
    ]


def _rule(rule: Rule, app: App) -> Iterator[Finding]:
    """What one rule shows by itself."""
    if not rule.source:
        yield _of(rule, "warning", "has no source: nobody can check where it comes from")
    elif not rule.seen:
        yield _of(rule, "warning", "has a source but no date (seen)")
    if app.context:
        return
    if rule.confidence == "low" and rule.match.strength > Strength.SUPPORTING:
        yield _of(
            rule,
            "error",
            f"is of low confidence and yet {rule.match.strength.label}; low confidence is supporting at most",
        )
    if rule.kind == "suffix" and rule.match.strength > Strength.SUPPORTING:
        for name in SHARED_ZONES.intersection(rule.names):
            yield _of(rule, "error", f"{name} is shared by many services, so the whole zone is supporting at most")


def _examples(written: App, effective: App, signatures: SignatureSet | visibility.VisibilitySet) -> Iterator[Finding]:
    positive = [one for one in written.examples if one.rule]
    negative = [one for one in written.examples if not one.rule]
    if not positive and written.rules:
        yield Finding(written.file, written.line, "warning", "examples: none that must match")
    if not negative and written.rules:
        yield Finding(written.file, written.line, "warning", "examples: none that must not match")
    for one in positive:
        ids = {rule.match.rule for rule in effective.rules}
        found = sorted(match.rule for match in run(one, signatures))
        if one.rule not in ids:
            yield Finding(written.file, one.line, "error", f"example {one.text}: there is no rule {one.rule}")
        elif one.rule not in found:
            got = ", ".join(found) or "nothing"
            yield Finding(written.file, one.line, "error", f"example {one.text}: expected {one.rule}, found {got}")
    for one in negative:
        wrong = sorted(match.rule for match in run(one, signatures) if match.app == written.id)
        if wrong:
            yield Finding(
                written.file, one.line, "error", f"example {one.text}: must not match, found {', '.join(wrong)}"
            )
    shown = {one.rule for one in positive}
    for rule in written.rules:
        if rule.match.rule not in shown:
            yield _of(rule, "warning", "no example shows it")


def run(example: Example, signatures: SignatureSet | visibility.VisibilitySet) -> tuple[RuleMatch, ...]:
    """What the signatures say of one example."""
    if isinstance(signatures, visibility.VisibilitySet):
        return _run_visibility(example, signatures)
    proto, port = (example.ports.proto, example.ports.low) if example.ports else ("", 0)
    address = None if example.address is None else example.address.to_bytes(16, "big")
    if example.kind == "bytes":
        return signatures.match_first_bytes(proto, example.side, example.payload, port, address)
    if example.kind == "stun":
        ends = () if address is None else ((address, port),)
        return signatures.match_stun(
            example.realm, example.software, example.username, example.method, example.attributes, ends
        )
    if address is not None:
        return signatures.match_address(address, proto, port)
    return signatures.match_name(example.name)


def _run_visibility(example: Example, found: visibility.VisibilitySet) -> tuple[RuleMatch, ...]:
    proto, port = (example.ports.proto, example.ports.low) if example.ports else ("", 0)
    address = (example.address or 0).to_bytes(16, "big")
    if example.kind == "bytes":
        return found.of_first_bytes(proto, example.side, example.payload, port, address)
    if example.kind == "address":
        return found.of_address(proto, port, address)
    if example.kind == "dns":
        return found.of_question(example.name)
    return found.of_name(example.name, proto, port, address)


def _of(rule: Rule, level: str, text: str) -> Finding:
    return Finding(rule.file, rule.line, level, f"rule {rule.match.rule}: {text}")


def report(findings: list[Finding]) -> str:
    """One line each, and one of sums."""
    errors = sum(finding.level == "error" for finding in findings)
    return "\n".join([*map(str, findings), f"{errors} errors, {len(findings) - errors} warnings"])
