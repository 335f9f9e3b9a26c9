"""What is checked before a commit and in CI."""

import re
from pathlib import Path

import pytest

from lab import paths

WORKFLOWS = sorted((paths.ROOT / ".github/workflows").glob("*.yml"))


def test_before_a_commit_everything_is_checked_that_lint_checks() -> None:
    entries = re.findall(r"^ +entry: (.+)$", (paths.ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)

    assert entries[-1] == "make lint", "last, so that it checks what the fixers left"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=paths.shown)
def test_an_action_is_pinned_by_its_commit_and_says_its_version(workflow: Path) -> None:
    """A tag can be moved to other code; a commit cannot. Dependabot moves both."""
    used = re.findall(r"uses: *(.+)$", workflow.read_text(), re.MULTILINE)

    assert used
    assert [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []
