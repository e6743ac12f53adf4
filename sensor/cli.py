"""The command line: what there is, and which module does it. Heavy imports wait until a command is called."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from sensor import cli_proof

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = [
    "ech",
    "encrypted_dns",
    "private_relay",
    "vpn",
    "tor",
    "chat_proxy",
    "outdated",
]  # those of sensor.classify.visibility
MAX_WORKERS = 256
EPILOG = """exit status: 0 done; 1 something around wardwatch failed (a capture, the store); 2 a mistake in what was asked or
configured; 3 done, with warnings (a damaged capture, for example); 4 something verified is not as it should be. A shell calls anything over 128 a signal."""


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    top = argparse.ArgumentParser(
        prog="wardwatch",
        description="Sees which messaging and video apps a clinic's devices use, judges it by the clinic's policy, and proves it.",
        epilog=EPILOG,
    )
    top.add_argument("--version", action="version", version="wardwatch 0.1.0")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _replay(commands.add_parser("replay", help="read captures and tell what the policy says of them"))
    _watch(commands.add_parser("watch", help="watch an interface, such as a switch's mirror port"))
    capture = commands.add_parser("capture", help="open an interface for a `watch` that has no right to")
    capture.add_argument("interface", metavar="IFACE", help="the interface, as `ip link` calls it")
    capture.add_argument("--socket", metavar="PATH", required=True, help="where the watch asks for it")
    _install(commands)
    _retention(commands.add_parser("retention", help="how long is kept what was seen"))
    _doctor(commands.add_parser("doctor", help="test whether a mirror port shows what it should"))
    _violations(commands.add_parser("violations", help="list what the store holds"))
    seen = commands.add_parser("visibility", help="list what could not be read, by network and hour")
    _common(seen)
    seen.add_argument("--network", help="only this network")
    seen.add_argument("--kind", choices=KINDS, help="only this kind of hidden traffic")
    seen.add_argument("--since", metavar="TIME", help="hours that begin at or after, as for violations")
    seen.add_argument("--until", metavar="TIME", help="hours that begin before")
    seen.add_argument("--format", choices=["table", "json"], default="table")
    cli_proof.declare(commands)
    explain = commands.add_parser("explain", help="why one verdict is what it is, step by step")
    explain.add_argument("id", help="an episode's id, or the beginning of it")
    _common(explain)
    _serve(commands.add_parser("serve", help="the API and the pages for follow-up"))
    _user(commands.add_parser("user", help="who may sign in there"))
    _forward(commands.add_parser("forward", help="tell a centre what the store holds"))
    _sensor(commands.add_parser("sensor", help="at a centre: the sensors that may tell it what they hold"))
    _notify(commands.add_parser("notify", help="tell new violations by mail, webhook and syslog"))
    signatures = commands.add_parser("signatures", help="the signatures of apps").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    check = signatures.add_parser("check", help="validate signatures and run their examples")
    check.add_argument(
        "path", nargs="?", help="a file or folder of your own; without it, those that come with wardwatch"
    )
    coverage = signatures.add_parser(
        "coverage", help="what can prove each app and activity, and on which real captures it was proven"
    )
    coverage.add_argument("app", nargs="?", help="only this app, by its id")
    coverage.add_argument("--json", action="store_true", help="everything, as one JSON object")
    config = commands.add_parser("config", help="the configuration file").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    config.add_parser("example", help="print a commented example")
    config.add_parser("check", help="validate a file").add_argument("file")
    return top


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="FILE", help="the TOML file with networks and policy")
    command.add_argument("--store", metavar="PATH", help="SQLite file or SQLAlchemy URL, instead of the configured one")


def _serve(command: argparse.ArgumentParser) -> None:
    _common(command)
    command.add_argument("--address", metavar="IP", help="listen there, instead of [api] address (127.0.0.1)")
    command.add_argument("--port", type=_port, metavar="N", help="instead of [api] port (8080); 0: any free one")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def _user(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    roles = ["viewer", "officer", "auditor", "admin"]
    for action, does in {
        "add": "make one; the password is asked for",
        "list": "all of them",
        "disable": "cannot sign in any more, and is signed out",
        "enable": "can sign in again",
        "password": "give a new password",
        "role": "give another role",
    }.items():
        one = actions.add_parser(action, help=does)
        _common(one)
        if action != "list":
            one.add_argument("name", help="of the user")
        if action in {"add", "role"}:
            one.add_argument("--role", choices=roles, required=True, help="what they may do")
        if action in {"add", "password"}:
            one.add_argument("--stdin", action="store_true", help="read the password's line from standard input")


def _replay(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "paths", nargs="+", metavar="PATH", help="captures, folders of captures, or - for standard input"
    )
    _common(command)
    command.add_argument("--recursive", action="store_true", help="look into sub-folders too")
    command.add_argument("--separate", action="store_true", help="each file is a network of its own, nothing is shared")
    command.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="processes that read (default: one for each core); the results are the same",
    )
    _outputs(command)
    cli_proof.compare(command)
    command.add_argument("--quiet", action="store_true", help="no progress bar")


def _watch(command: argparse.ArgumentParser) -> None:
    command.add_argument("interface", metavar="IFACE", help="the interface, as `ip link` calls it")
    _common(command)
    command.add_argument(
        "--capture-socket",
        metavar="PATH",
        help="ask `wardwatch capture` there for the interface: no right is needed then",
    )
    command.add_argument(
        "--seconds", type=_seconds, metavar="N", help="stop after N seconds; without it, at SIGTERM or SIGINT"
    )
    _outputs(command)
    command.add_argument("--quiet", action="store_true", help="only what went wrong, and the sums at the end")


def _count(text: str) -> int:
    count = int(text)
    if not 0 < count <= MAX_WORKERS:
        raise ValueError
    return count


def _forward(command: argparse.ArgumentParser) -> None:
    _common(command)
    command.add_argument("--once", action="store_true", help="end once everything is told, or cannot be")


def _sensor(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser(
        "add", help="let one in, or give it a new key: what is printed goes into its [centre] key_file"
    )
    _common(add)
    add.add_argument("name", help="which its networks are called by here")
    add.add_argument("--days", type=int, default=365, metavar="N", help="how long the key holds (365)")
    _common(actions.add_parser("list", help="when each was heard, and what it runs"))
    order = actions.add_parser("order", help="give sensors a policy or signatures to judge by, signed")
    _common(order)
    order.add_argument("--policy", metavar="FILE", help="a TOML file with [policy] and nothing else")
    order.add_argument("--signatures", metavar="DIR", help="a folder of signatures, instead of the sensors' own")
    order.add_argument("--sensor", metavar="NAME", help="for this one only; without it, for all")


def _notify(command: argparse.ArgumentParser) -> None:
    _common(command)
    what = command.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="send what is due, and end")
    what.add_argument("--test", metavar="CHANNEL", help="send a test message to this channel, and end")
    what.add_argument("--dead", action="store_true", help="list the messages that were given up")
    what.add_argument("--resend", metavar="KEY", help="try given up messages anew: those whose key begins so, or `all`")


def _install(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    install = commands.add_parser("install", help="put the service in place on this machine")
    install.add_argument("--interface", metavar="IFACE", required=True, help="the mirror port")
    install.add_argument("--program", metavar="PATH", help="what the units call, instead of what runs now")
    uninstall = commands.add_parser("uninstall", help="take the service away")
    uninstall.add_argument("--purge", action="store_true", help="with configuration and all that was stored")
    for command in (install, uninstall):
        command.add_argument("--dry-run", action="store_true", help="only say what would be done")
        command.add_argument("--root", metavar="DIR", default="/", help="below this folder, and files only")


def _retention(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    run = actions.add_parser("run", help="take away what is older or more than [retention] allows")
    run.add_argument("--dry-run", action="store_true", help="only say what would be taken")
    hold = actions.add_parser("hold", help="keep an episode whatever its age")
    release = actions.add_parser("release", help="hold an episode no more")
    for one in (hold, release):
        one.add_argument("id", help="an episode's id, or the beginning of it")
        one.add_argument("--reason", required=True, help="why; it is kept in the chain")
    for one in (run, hold, release, actions.add_parser("list", help="what is held")):
        _common(one)


def _doctor(command: argparse.ArgumentParser) -> None:
    command.add_argument("interface", metavar="IFACE", help="the interface, as `ip link` calls it")
    command.add_argument("--config", metavar="FILE", help="the TOML file: its VLANs should be seen")
    command.add_argument("--seconds", type=_seconds, default=60.0, metavar="N", help="how long to look (60)")
    command.add_argument("--json", action="store_true", help="everything, as one JSON object")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")


def _outputs(command: argparse.ArgumentParser) -> None:
    command.add_argument("--no-store", action="store_true", help="keep nothing")
    command.add_argument(
        "--json", action="store_true", help="one violation a line on standard output, and nothing else there"
    )
    command.add_argument("--flows", metavar="FILE", help="write every flow to FILE, one JSON object a line")
    command.add_argument("--episodes", metavar="FILE", help="write every episode to FILE, one JSON object a line")
    command.add_argument(
        "--visibility", metavar="FILE", help="write what could not be read to FILE, one JSON object a line"
    )


def _violations(command: argparse.ArgumentParser) -> None:
    _common(command)
    command.add_argument("--app", help="only this app (also where it is one of two candidates)")
    command.add_argument("--device", help="only this device: mac:..., ip:..., or its bare address")
    command.add_argument("--network", help="only this network")
    command.add_argument(
        "--since", metavar="TIME", help="starts at or after: 2026-03-02, 2026-03-02T08:00, with or without an offset"
    )
    command.add_argument("--until", metavar="TIME", help="starts before")
    states = ["new", "acknowledged", "investigating", "closed"]
    command.add_argument("--state", choices=states, help="only in this state of follow-up")
    command.add_argument(
        "--outcome", choices=["violation", "review", "unreviewed", "allowed", "all"], default="violation"
    )
    command.add_argument("--format", choices=["table", "json", "csv"], default="table")
    command.add_argument("--limit", type=int, default=1000, help="rows at most (1000)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns its exit status."""
    options = parser().parse_args(arguments)
    from sensor.errors import WardwatchError

    try:
        return _run(options)
    except WardwatchError as error:
        print(f"wardwatch: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("wardwatch: interrupted; what was reported as stored is stored", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; keep Python from complaining at exit.
        sys.stderr.close()
        return 141


def _run(options: argparse.Namespace) -> int:
    if options.command == "replay":
        from sensor.commands import replay

        return replay.run(options)
    if options.command == "watch":
        from sensor.commands import watch

        return watch.run(options)
    if options.command == "capture":
        from sensor.commands import capture

        return capture.run(options)
    if options.command in {"install", "uninstall"}:
        from sensor.commands import install

        return install.run(options)
    if options.command == "retention":
        from sensor.commands import retention

        return retention.run(options)
    if options.command == "doctor":
        from sensor.commands import doctor

        return doctor.run(options)
    if options.command == "violations":
        from sensor.commands import violations

        return violations.run(options)
    if options.command == "visibility":
        from sensor.commands import visibility

        return visibility.run(options)
    if options.command in cli_proof.COMMANDS:
        return cli_proof.run(options)
    if options.command == "serve":
        from sensor.commands import serve

        return serve.run(options)
    if options.command == "user":
        from sensor.commands import user

        return user.run(options)
    if options.command == "explain":
        from sensor.commands import explain

        return explain.run(options)
    if options.command in {"forward", "sensor"}:
        from sensor.commands import forward

        return forward.run(options) if options.command == "forward" else forward.sensors(options)
    if options.command == "notify":
        from sensor.commands import notify

        return notify.run(options)
    if options.command == "signatures":
        from sensor.commands import signatures

        if options.action == "coverage":
            return signatures.coverage(options.app, as_json=options.json)
        return signatures.check(options.path)
    from sensor.commands import config

    if options.action == "example":
        return config.example()
    from sensor.classify import signatures as loading

    return config.check(options.file, known_apps=loading.load().apps.keys())


def command() -> None:
    """The program: runs the command given, and ends the process with its exit status.

    At once: what the interpreter would take down piece by piece, the system takes back as a whole, and sooner.
    """
    try:
        status = main()
    except SystemExit as asked:  # by argparse, after it has printed what it had to say
        status = asked.code if isinstance(asked.code, int) else 0
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    command()
