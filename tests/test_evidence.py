"""Evidence of experiments: kept as it was found, and committed without what changes for no reason."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from lab import evidence, paths
from lab.console import LabError
from lab.evidence import Commit, Event, Evidence, RanOn

ONE, TWO = "0d8f2f6a-5b7e-4c1d-9a3e-1f2b3c4d5e6f", "ffffffff-5b7e-4c1d-9a3e-1f2b3c4d5e6f"
FOUND = Evidence(
    experiment="test_poison",
    pattern="fanout",
    id="x1a2b3c4d",
    failure="A poison message",
    claim="It is dead-lettered.",
    semantics=["SQS-1"],
    outcome="passed",
    observed="3 receives, für 1 €",
    table=[{"Orders": 6, "Runs": 17}],
    target=RanOn("local", "LocalStack 4.14.0", "us-east-1"),
    commit=Commit("cf1f609abc", False),
    date="2026-01-02T10:00:00+00:00",
    seconds=12.5,
    parameters={"max_receive_count": "3"},
    timeline=[
        Event(0.0, "sent 1 order"),
        Event(0.5, "billing: failed", {"order_id": "x1a2b3c4d-1", "message_id": ONE}),
        Event(0.6, "billing: failed", {"error": f"t0a1b2c-fanout-orders refused {TWO}", "retry_in_seconds": None}),
        Event(0.7, "billing: failed", {"message_id": ONE, "receive_count": 2}),
        Event(0.8, "alarm t0a1b2c-fanout-billing-dlq-depth is ALARM"),
    ],
)


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    file = FOUND.save(tmp_path / "fanout")

    assert file == tmp_path / "fanout/test_poison.json"
    assert evidence.load(file) == FOUND
    assert evidence.in_folder(tmp_path / "fanout") == {"test_poison": FOUND}


def test_what_is_read_while_it_is_saved_again_is_whole(tmp_path: Path) -> None:
    """`make docs` may read what experiments write at that moment."""
    with FOUND.save(tmp_path).open() as being_read:
        file = replace(FOUND, observed="something else").save(tmp_path)

        assert '"3 receives, für 1 €"' in being_read.read()
    assert '"something else"' in file.read_text()


def test_without_an_event_it_is_saved_too(tmp_path: Path) -> None:
    quiet = replace(FOUND, timeline=[], table=[])

    assert evidence.load(quiet.save(tmp_path)) == quiet


def test_an_event_is_a_line(tmp_path: Path) -> None:
    lines = FOUND.save(tmp_path).read_text().splitlines()

    assert [json.loads(line.removesuffix(",")) for line in lines[-7:-2]] == [
        {name: value for name, value in asdict(event).items() if value != {}} for event in FOUND.timeline
    ]


def test_a_folder_that_there_is_not_has_no_evidence(tmp_path: Path) -> None:
    assert evidence.in_folder(tmp_path / "nothing") == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ("{}", "experiment: Field required"),
        ('{"experiment": 5}', "experiment: Input should be a valid string"),
    ],
)
def test_a_file_that_is_no_evidence_is_named(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "test_poison.json"
    file.write_text(content)

    with pytest.raises(LabError) as refused:
        evidence.load(file)

    assert str(refused.value).startswith(f"{file} is no evidence of an experiment: {said}")
    assert "Remove it, and run the experiment again." in str(refused.value)


def test_the_committed_copy_has_no_ids_of_the_run() -> None:
    kept = FOUND.for_the_repository()

    assert kept.id == "x"
    assert [event.details for event in kept.timeline] == [
        {},
        {"order_id": "x-1", "message_id": "id-1"},
        {"error": "fanout-orders refused id-2", "retry_in_seconds": None},
        {"message_id": "id-1", "receive_count": 2},
        {},
    ]
    assert kept.timeline[-1].event == "alarm fanout-billing-dlq-depth is ALARM"
    assert (kept.observed, kept.table, kept.commit, kept.date) == (
        FOUND.observed, FOUND.table, FOUND.commit, FOUND.date,
    )  # fmt: skip


def test_two_runs_of_the_same_have_the_same_committed_copy() -> None:
    text = json.dumps(asdict(FOUND))
    for mine, others in (("x1a2b3c4d", "xffffffff"), (ONE, TWO.replace("5b7e", "1111")), ("t0a1b2c", "t999999")):
        text = text.replace(mine, others)
    again = TypeAdapter(Evidence).validate_json(text)

    assert again != FOUND
    assert again.for_the_repository() == FOUND.for_the_repository()


def test_what_happened_often_is_abridged_in_the_committed_copy() -> None:
    many = [Event(number, "billing: processed", {"order_id": f"o-{number}"}) for number in range(100)]
    few = [Event(number + 0.5, "depth", {"messages": number}) for number in range(2 * evidence.SHOWN + 1)]
    kept = replace(FOUND, timeline=sorted(many + few, key=lambda event: event.at)).for_the_repository().timeline

    processed = [event for event in kept if event.event.startswith("billing")]
    assert [event.details["order_id"] for event in processed if event.details] == [
        f"o-{number}" for number in [*range(evidence.SHOWN), *range(100 - evidence.SHOWN, 100)]
    ]
    assert processed[evidence.SHOWN] == Event(evidence.SHOWN, "billing: processed, 80 times more")
    assert [event for event in kept if event.event == "depth"] == few
    assert [event.at for event in kept] == sorted(event.at for event in kept)


@pytest.fixture
def first_asked() -> Iterator[None]:
    """Nobody has asked for the commit yet, nor has anybody afterwards."""
    evidence.commit.cache_clear()
    yield
    evidence.commit.cache_clear()


@pytest.fixture
def repository(first_asked: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in place of the lab's."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "README.md").write_text("one\n")
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "-m", "One"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_commit_has_an_id_and_no_changes(repository: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True)

    assert evidence.commit() == Commit(head.stdout[:10], False)
    (repository / "code.py").write_text("2\n")
    assert evidence.commit() == Commit(head.stdout[:10], False), "it is that of the code which runs"


@pytest.mark.parametrize(
    ("file", "changed"),
    [("code.py", True), ("more.py", True), ("README.md", False), ("patterns/fanout/evidence/test_a.json", False)],
)
def test_code_that_differs_from_the_commit_is_said(repository: Path, file: str, changed: bool) -> None:
    (repository / file).parent.mkdir(parents=True, exist_ok=True)
    (repository / file).write_text("2\n")

    assert evidence.commit().changed is changed


@pytest.mark.usefixtures("first_asked")
def test_without_a_repository_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert evidence.commit() == Commit("unknown", False)
