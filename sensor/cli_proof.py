"""The part of the command line that is for auditors: what there is, and which module does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import argparse

COMMANDS: Final = ("audit", "evidence", "verify", "report")


def declare(commands: Any) -> None:
    """Adds the commands to what `add_subparsers` made."""
    _audit(commands.add_parser("audit", help="the chain of hashes over all that was stored and done"))
    _evidence(commands.add_parser("evidence", help="write what proves some episodes into one signed file"))
    _verify(commands.add_parser("verify", help="check such a file, or what a capture says, and ask tshark too"))
    _report(commands.add_parser("report", help="a period as a page, as PDF and as numbers"))


def run(options: argparse.Namespace) -> int:
    """Runs one of COMMANDS. Returns its exit status."""
    if options.command == "audit":
        from sensor.commands import audit

        return audit.run(options)
    if options.command == "evidence":
        from sensor.commands import evidence

        return evidence.run(options)
    if options.command == "report":
        from sensor.commands import report

        return report.run(options)
    from sensor.commands import verify

    return verify.run(options)


def compare(command: argparse.ArgumentParser) -> None:
    """The option of `replay` that compares."""
    command.add_argument(
        "--compare",
        metavar="OLD",
        help="tell what differs from an earlier run, and why: a store, or a file that --episodes wrote",
    )


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="FILE", help="the TOML file with networks and policy")
    command.add_argument("--store", metavar="PATH", help="SQLite file or SQLAlchemy URL, instead of the configured one")


def _audit(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser("verify", help="find what was changed, removed, inserted or put in another place")
    _common(verify)
    verify.add_argument(
        "--checkpoints",
        metavar="PLACE",
        action="append",
        default=[],
        help="a checkpoint, or a folder of them, kept outside; may be given again",
    )
    verify.add_argument(
        "--public-key",
        metavar="FILE",
        action="append",
        default=[],
        help="whose checkpoints count; default: the sensor's own key",
    )
    verify.add_argument(
        "--timestamp-root",
        metavar="FILE",
        action="append",
        default=[],
        help="certificates in PEM that time stamps must lead to; may be given again",
    )
    verify.add_argument("--json", action="store_true", help="everything, as one JSON object")
    made = actions.add_parser("checkpoint", help="sign where the chain has come to, to be kept outside")
    _common(made)
    made.add_argument("--out", metavar="DIR", help="a mounted folder; without it, standard output")
    made.add_argument("--timestamp", metavar="URL", help="have an authority stamp the time on it (RFC 3161)")


def _evidence(command: argparse.ArgumentParser) -> None:
    command.add_argument("id", nargs="+", metavar="ID", help="an episode's id, or the beginning of it")
    _common(command)
    command.add_argument("--out", metavar="PACK", required=True, help="the file to write")
    command.add_argument(
        "--captures",
        metavar="DIR",
        action="append",
        default=[],
        help="where source captures are looked for too; may be given again",
    )


def _verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("path", metavar="PACK|CAPTURE", help="a file of wardwatch evidence, or a capture")
    command.add_argument("--config", metavar="FILE", help="of a capture: the TOML file with networks and policy")
    command.add_argument(
        "--public-key",
        metavar="FILE",
        action="append",
        default=[],
        help="whose packs count; may be given again",
    )
    command.add_argument("--no-tshark", action="store_true", help="ask for no second opinion")
    command.add_argument("--json", action="store_true", help="everything, as one JSON object")


def _report(command: argparse.ArgumentParser) -> None:
    _common(command)
    command.add_argument("--from", dest="first", metavar="DAY", required=True, help="the first day, such as 2026-03-01")
    command.add_argument("--to", dest="last", metavar="DAY", required=True, help="the last day, included")
    command.add_argument("--network", help="only this network")
    command.add_argument("--language", choices=["en", "es"], default="en", help="of the page and the PDF")
    command.add_argument("--out", metavar="DIR", required=True, help="the folder to write to")
