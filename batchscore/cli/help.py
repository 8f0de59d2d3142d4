"""`batchscore help`: the manual in the terminal. Pages are files of the package, so it works offline."""

from __future__ import annotations

import importlib.resources
import re
import sys
from importlib.resources.abc import Traversable

import click

from batchscore.cli.output import print_out
from batchscore.errors import ERROR_IDS, UsageError

_ERRORS = "errors"
_SHOWN_NEAREST = 3
_SECTION = re.compile(r"^## (?P<title>.+)\n(?:(?!## ).*\n?)*", re.MULTILINE)
_LINK = re.compile(r"\[([^\]\n]+)\]\((?!https:)([^)#]*)(?:#[^)]*)?\)")
"""A link to a page of the manual, or within one."""


@click.command("help")
@click.argument("topic", required=False)
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> None:
    """Show a page of the manual. Without TOPIC: list the pages.

    TOPIC is a page, the id of an error (E-USERS-DROPPED), or a command (run), whose flags are shown if there is no
    page of its name.
    """
    group = ctx.find_root().command
    if topic is None:
        print_out(_list_pages())
    elif topic not in list_topics() and isinstance(group, click.Group) and topic in group.list_commands(ctx):
        print_out(_help_of(group, topic, ctx.find_root()))
    else:
        _show(find_text(topic))


def list_topics() -> dict[str, Traversable]:
    """The pages of the manual by name, in alphabetical order."""
    folder = importlib.resources.files("batchscore") / "docs"
    pages = {page.name.removesuffix(".md"): page for page in folder.iterdir() if page.name.endswith(".md")}
    return dict(sorted(pages.items()))


def find_text(topic: str) -> str:
    """The Markdown of a page, or of the section of an error id; upper and lower case are alike.

    Raises UsageError (E-CONFIG) if there is no such topic, with the nearest ones.
    """
    pages = list_topics()
    if topic.lower() in pages:
        return pages[topic.lower()].read_text("utf-8")
    error_id = topic.upper()
    if error_id in ERROR_IDS:
        return sections_of(pages[_ERRORS].read_text("utf-8"))[error_id]
    raise _unknown(topic, pages)


def sections_of(page: str) -> dict[str, str]:
    """The sections `## Title` of a page, by title; each begins with its title."""
    return {found["title"]: found[0] for found in _SECTION.finditer(page)}


def _list_pages() -> str:
    pages = list_topics()
    width = max(map(len, pages))
    lines = [f"  {name:<{width}}  {_summary_of(page.read_text('utf-8'))}" for name, page in pages.items()]
    return "\n".join([
        "Pages of the manual:", "", *lines, "",
        "batchscore help PAGE              shows a page",
        "batchscore help E-USERS-DROPPED   says what an error means and what to do",
        "batchscore help run               shows the flags of a command",
    ])  # fmt: skip


def _summary_of(page: str) -> str:
    """The paragraph below the title, in one line."""
    return " ".join(page.split("\n\n")[1].split())


def _help_of(group: click.Group, name: str, root: click.Context) -> str:
    found = group.get_command(root, name)
    if found is None:
        raise KeyError(name)
    return found.get_help(click.Context(found, parent=root, info_name=name))


def _unknown(topic: str, pages: dict[str, Traversable]) -> UsageError:
    from difflib import get_close_matches

    from batchscore.cli import COMMANDS

    known = {name.lower(): name for name in (*pages, *COMMANDS, *ERROR_IDS)}
    near = get_close_matches(topic.lower(), known, n=_SHOWN_NEAREST)
    if f"`{'--' + topic.lower().removeprefix('--').replace('_', '-')}`" in pages["settings"].read_text("utf-8"):
        return UsageError(
            "E-CONFIG",
            f"{topic} is a setting, and the manual has no page of its own for it",
            next_step="`batchscore help settings` explains every setting",
        )
    return UsageError(
        "E-CONFIG",
        f"the manual has no topic {topic!r}",
        found=f"similar: {', '.join(known[name] for name in near)}" if near else None,
        expected="a page, the id of an error or a command",
        next_step="`batchscore help` lists the pages, `batchscore help errors` all errors",
    )


def _show(text: str) -> None:
    """Print Markdown: as it is into a pipe; laid out on a terminal, in the pager if the screen is too short."""
    if not sys.stdout.isatty():
        print_out(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    with console.capture() as captured:
        console.print(Markdown(_LINK.sub(_name_page, text)))
    laid_out = captured.get()
    if laid_out.count("\n") < console.height:
        print_out(laid_out)
    else:
        click.echo_via_pager(laid_out)


def _name_page(link: re.Match[str]) -> str:
    """A link in words: what it says and, if it leads to another page, the command that shows that."""
    page = link[2].removesuffix(".md")
    return link[1] if page == link[2] else f"{link[1]} (`batchscore help {page}`)"
