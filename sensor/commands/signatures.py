"""`wardwatch signatures check [PATH]`."""

from __future__ import annotations

import sys
from pathlib import Path

from sensor.commands.output import standard_output


def check(path: str | None) -> int:
    """Prints each finding on one line. Returns 0, 2 where there is an error, 3 where there are warnings only."""
    from sensor.classify import check as checking

    findings = checking.check(Path(path) if path else None)
    errors = sum(finding.level == "error" for finding in findings)
    with standard_output():
        for finding in findings:
            print(finding, file=sys.stderr if finding.level == "error" else sys.stdout)
        print(f"{errors} errors, {len(findings) - errors} warnings")
    if errors:
        return 2
    return 3 if findings else 0
