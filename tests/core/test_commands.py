"""Commands as people write them: what is accepted means the same to a shell, and all else is refused."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.commands import split_words
from core.errors import Refused

SHELL_TEXT = st.text(alphabet="ab $;|&'\"\\\n\t#-é=~{},*?[]()<>`!%^.:@+0\r\v", max_size=24)
BASH_SAYS = """
command_not_found_handle() { printf '%s\\0' "$@"; }
eval -- "$1" 2>/dev/null
"""

# A whole command that a shell reads as more than words, and what of it is named.
FOR_A_SHELL = [
    ("bin/test && bin/lint", "`&&` at character 10"),
    ("bin/test || true", "`||` at character 10"),
    ("seed gold; seed silver", "`;` at character 10"),
    ("seed gold;", "`;` at character 10"),
    ("yes | bin/install", "`|` at character 5"),
    ("yes |& bin/install", "`|&` at character 5"),
    ("bin/serve &", "`&` at character 11"),
    ("bin/test>log", "`>` at character 9"),
    ("bin/test >> log", "`>>` at character 10"),
    ("bin/test 2>&1", "`>&` at character 11"),
    ("bin/test &> log", "`&>` at character 10"),
    ("bin/test < input", "`<` at character 10"),
    ("bin/test <<EOF", "`<<` at character 10"),
    ("bin/test <<< text", "`<<<` at character 10"),
    ("(bin/test)", "`(` at character 1"),
    ("diff <(a) <(b)", "`<` at character 6"),
    ("echo $HOME", "`$HOME` at character 6"),
    ('echo "$HOME"', "`$HOME` at character 7"),
    ("echo ${HOME}x", "`${HOME}` at character 6"),
    ("echo $(date)", "`$(` at character 6"),
    ('echo "$(date)"', "`$(` at character 7"),
    ("echo `date`", "``` at character 6"),
    ("echo $'a\\n'", "`$` at character 6"),
    ('echo "a\\$b"', "`$b` at character 9"),
    ("ls *.py", "the pattern `*` at character 4"),
    ("ls a?b", "the pattern `?` at character 5"),
    ("ls [ab]", "the pattern `[` at character 4"),
    ("ls ~/x", "`~` at character 4"),
    ("bin/x --at=~/x", "`~` at character 12"),
    ("cp {a,b}.txt x", "the list `{…}` at character 4"),
    ("echo {1..3}", "the list `{…}` at character 6"),
    ("bin/test # the quick ones", "a comment at character 10"),
    ("bin/test\nbin/lint", "a line end at character 9"),
    ("bin/test\r\n", "a line end at character 9"),
    ("bin/test \\\n  --quick", "a line end at character 10"),
    ("bin/test “a b”", "a typographic quote `“` at character 10"),
    ("bin/test\N{NO-BREAK SPACE}x", "a blank that is none to a shell at character 9"),
    ("cd app", "`cd`, which only a shell knows, at character 1"),
    ("export A", "`export`, which only a shell knows, at character 1"),
    (". bin/env", "`.`, which only a shell knows, at character 1"),
    ("FOO=bar bin/test", "`FOO=`, a variable before the program, at character 1"),
    ("FOO+=bar bin/test", "`FOO+=`, a variable before the program, at character 1"),
    ("'' x", "a program without a name at character 1"),
]
# What looks dangerous and is not: a shell makes the same words of it.
WORDS = [
    ("bin/test 'a && b'", ("bin/test", "a && b")),
    ("bash -ec 'bin/test && bin/lint'", ("bash", "-ec", "bin/test && bin/lint")),
    ('echo "a;b" \\$HOME \\*', ("echo", "a;b", "$HOME", "*")),
    ("git log HEAD~1 a#b", ("git", "log", "HEAD~1", "a#b")),
    ("find . -name {} --set=x", ("find", ".", "-name", "{}", "--set=x")),
    ("rake 'x:y[1, 2]' a:b=c", ("rake", "x:y[1, 2]", "a:b=c")),
    ("env FOO=bar bin/test", ("env", "FOO=bar", "bin/test")),
    ("bin/a!b %x ^y @z +1 a,b", ("bin/a!b", "%x", "^y", "@z", "+1", "a,b")),
    ("echo \"it's\" 'say \"hi\"' ''", ("echo", "it's", 'say "hi"', "")),
    ('echo "a\\\\b\\"c"', ("echo", 'a\\b"c')),
    ('echo "a\\nb"', ("echo", "a\\nb")),
]


def accepted(text: str) -> tuple[str, ...] | None:
    try:
        return split_words(text)
    except Refused:
        return None


def said_by(shell: str, script: str, text: str) -> bytes:
    """What `shell` prints of the words of `text`, with nothing in its environment or folder."""
    argv = [shutil.which(shell) or shell, "-c", script, shell, text]
    return subprocess.run(argv, env={"PATH": "/nowhere"}, cwd="/proc/self/fdinfo", capture_output=True).stdout


@pytest.mark.parametrize(("command", "said"), FOR_A_SHELL)
def test_what_only_a_shell_understands_is_refused_with_its_place(command: str, said: str) -> None:
    """A red lint behind && was green, and a second seed never ran."""
    with pytest.raises(Refused, match="no shell runs here") as refused:
        split_words(command)
    [reason] = refused.value.reasons
    assert said in reason.why
    assert "a script of the repository" in reason.next and "bash -ec '…'" in reason.next


@pytest.mark.parametrize(("command", "words"), WORDS)
def test_what_a_shell_would_take_for_the_same_words_is_taken(command: str, words: tuple[str, ...]) -> None:
    assert split_words(command) == words
    said = said_by("sh", 'eval "set -- $1"; printf "%s\\0" "$@"', command)
    assert said == b"".join(word.encode() + b"\0" for word in words)


@settings(max_examples=400, deadline=None)
@given(SHELL_TEXT)
def test_whatever_is_accepted_is_what_bash_makes_of_it(text: str) -> None:
    words = accepted(text)
    if words and "/" not in words[0]:
        assert said_by("bash", BASH_SAYS, text) == b"".join(word.encode() + b"\0" for word in words)


@settings(max_examples=200, deadline=None)
@given(SHELL_TEXT)
def test_whatever_is_accepted_is_what_a_plain_shell_makes_of_it(text: str) -> None:
    if words := accepted(text):
        said = said_by("sh", 'eval "set -- $1"; printf "%s\\0" "$@"', text)
        assert said == b"".join(word.encode() + b"\0" for word in words)


def test_all_that_needs_a_shell_is_told_at_once() -> None:
    with pytest.raises(Refused) as refused:
        split_words("cd app && make $TARGET > log; rm *")
    assert [part.rpartition("`")[0] for part in refused.value.reasons[0].why.split(" at character ")[:5]] == [
        "`cd",
        *("1, `&&", "8, `$TARGET", "16, `>", "24, `;"),
    ]
    assert refused.value.reasons[0].why.endswith("and 1 more")


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1), min_size=1))
def test_quoted_words_come_out_as_they_went_in(words: list[str]) -> None:
    """L02: quoted arguments were mangled."""
    assert split_words(shlex.join(["x", *words])) == ("x", *words)


@given(st.text(alphabet="ab '\"\\\t-é", max_size=30))
def test_a_malformed_command_is_refused_at_the_place_where_it_goes_wrong(text: str) -> None:
    """Spec 7.6: up to that place the text is well-formed, and that place opens what never ends."""
    try:
        split_words(f"x {text}")
    except Refused as refusal:
        at, _, _ = refusal.reasons[0].why.partition("at character ")[2].partition(":")
        place = int(at) - 3
        assert text[place] in "'\"\\\\"
        split_words(f"x {text[:place]}")
        advice = "take the backslash at the end away" if text[place] == "\\" else "close the quote"
        assert refusal.reasons[0].next == advice
