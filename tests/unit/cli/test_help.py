"""The help of each command: its examples are accepted, and its exit codes are those of the documentation."""

from __future__ import annotations

import re
import shlex

import pytest

from registry_sync.cli.arguments import UNUSABLE
from registry_sync.cli.main import command_parser, main
from testkit.project import PROJECT

PROGRAM = "registry-sync"
COMMANDS = [
    *(
        ["validate"],
        ["check"],
        ["plan"],
        ["explain"],
        ["verify"],
        ["events"],
        ["status"],
        ["where"],
        ["import"],
        ["schema"],
        ["nodes"],
    ),
    *(["nodes", name] for name in ("render", "images", "collect", "audit", "prove", "check")),
]


def help_of(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([*command, "--help"], PROGRAM)
    return capsys.readouterr().out


def test_the_list_has_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    listed = [
        [*group, name]
        for group in ([], ["nodes"])
        for name in re.findall(r"^    ([a-z]+)  ", help_of(group, capsys), re.MULTILINE)
    ]
    assert sorted(listed) == sorted(COMMANDS)


def test_the_first_steps_are_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    steps = re.findall(rf"^  {PROGRAM} (.*?)  ", help_of([], capsys), re.MULTILINE)
    assert [step.split()[0] for step in steps] == ["validate", "check", "plan"]
    for step in steps:
        assert command_parser(PROGRAM, words := shlex.split(step)).parse_args(words).command


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_example_is_accepted(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(rf"^  {PROGRAM} (.*)$", help_of(command, capsys).partition("examples:")[2], re.MULTILINE)
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" > ")[0])
        assert words[: len(command)] == command
        if words[-1] != "--help":
            assert command_parser(PROGRAM, words).parse_args(words).command


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("nodes render --pool X --output out nodes.yaml", "nodes.yaml; name the mirrors file by --mirrors-file FILE"),
        ("nodes check nodes.yaml", "nodes.yaml; name the mirrors file by --mirrors-file FILE"),
        ("where team/app --file m.yaml", "--file m.yaml; name the mirrors file by --mirrors-file FILE"),
        ("plan --all --mirrors-file m.yaml", "--mirrors-file; name the mirrors file by FILE alone"),
        ("validate a.yaml b.yaml", "b.yaml; name the mirrors file by FILE alone"),
        ("status m.yaml", "m.yaml"),
    ],
)
def test_an_argument_too_many_is_refused_with_the_form_for_the_mirrors_file(
    words: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split(), PROGRAM)
    assert ended.value.code == UNUSABLE
    assert capsys.readouterr().err.endswith(f"{PROGRAM}: error: unrecognized arguments: {hint}\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_help_has_exit_codes_and_a_page(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    below = help_of(command, capsys).partition("exit codes:\n")[2]
    codes = [int(code) for code in re.findall(r"^  (\d)  \w", below, re.MULTILINE)]
    assert codes == sorted(set(codes))
    assert {0, UNUSABLE} <= set(codes)
    page = re.search(r"^documentation: (docs/[\w-]+\.md)", below, re.MULTILINE)
    assert page is not None
    assert (PROJECT / page[1]).exists()
