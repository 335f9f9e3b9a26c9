"""The generated parts of the READMEs say what the code says: experiments, modules and gaps."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab import docs, evidence, paths, targets
from lab.deployment import patterns
from lab.evidence import KNOWN_GAP, PASSED, Commit, Event, Evidence, RanOn
from lab.experiment import claim

SEMANTICS = (paths.ROOT / "docs/semantics.md").read_text()
ANCHORS = set(re.findall(r'<a id="([^"]+)"></a>', SEMANTICS))
EXPERIMENTS = [
    pytest.param(function, id=f"{pattern}-{function.__name__}")
    for pattern in patterns()
    for function in docs.experiments(pattern)
]


def generated(file: Path, markers: docs.Markers) -> str:
    """What stands between a file's markers."""
    begin, end = markers
    text = file.read_text()
    assert text.count(begin) == text.count(end) == 1, f"{file} needs the markers {begin} and {end} once each"
    return docs.within(text, markers)


def rows(pattern: str) -> list[list[str]]:
    """The cells of each row of a failure table: failure, what happens, observed."""
    table = generated(paths.PATTERNS / pattern / "README.md", docs.FAILURES)
    return [row.removeprefix("| ").removesuffix(" |").split(" | ") for row in table.splitlines()[4:]]


@pytest.mark.parametrize("pattern", patterns())
def test_the_failure_table_has_one_row_per_experiment_and_none_besides(pattern: str) -> None:
    cells = rows(pattern)

    lines = [int(line) for row in cells for line in re.findall(r"\]\(tests/test_failures\.py#L(\d+)\)$", row[0])]
    names = [name for row in cells for name in re.findall(r"\]\(evidence/(\w+)\.json\)", row[2])]

    experiments = docs.experiments(pattern)
    assert {len(row) for row in cells} == {3}
    assert lines == [function.__code__.co_firstlineno for function in experiments], "make docs"
    assert names == [function.__name__ for function in experiments], "make docs"


@pytest.mark.parametrize("pattern", patterns())
def test_a_row_links_to_the_test_that_it_names(pattern: str) -> None:
    source = (paths.PATTERNS / pattern / "tests/test_failures.py").read_text().splitlines()

    for function, row in zip(docs.experiments(pattern), rows(pattern), strict=True):
        [line] = re.findall(r"#L(\d+)", row[0])
        decorators = source[int(line) - 1 :]
        assert decorators[0].startswith("@pytest.mark."), row[0]
        assert next(text for text in decorators if text.startswith("def ")).startswith(f"def {function.__name__}(")


@pytest.mark.parametrize("pattern", patterns())
def test_every_experiment_has_committed_evidence_and_the_reverse(pattern: str) -> None:
    found = evidence.in_folder(docs.evidence_folder(pattern))

    assert found.keys() == {function.__name__ for function in docs.experiments(pattern)}, "make test, then make docs"
    for name, each in found.items():
        assert (each.experiment, each.pattern, each.target.name) == (name, pattern, "local")
        assert each.outcome in (PASSED, KNOWN_GAP)
        assert bool(each.observed) == (each.outcome == PASSED)
        assert each.timeline


@pytest.mark.parametrize("pattern", patterns())
def test_committed_evidence_has_no_ids_that_change_for_no_reason(pattern: str) -> None:
    for file in docs.evidence_folder(pattern).glob("*.json"):
        text = file.read_text()
        assert re.findall(r"\bx[0-9a-f]{8}\b|\bt[0-9a-f]{6}-|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-", text) == [], file


@pytest.mark.parametrize(
    ("file", "markers"),
    [(file, markers) for file, contents in docs.parts().items() for markers in contents],
    ids=lambda value: paths.shown(value) if isinstance(value, Path) else "",
)
def test_the_generated_parts_are_up_to_date(file: Path, markers: docs.Markers) -> None:
    assert generated(file, markers) == docs.parts()[file][markers], "make docs writes it"


def test_writing_changes_what_is_out_of_date_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old.md", tmp_path / "new.md"
    old.write_text("# Gaps\n<!-- BEGIN GAPS -->\nold\n<!-- END GAPS -->\nmore\n")
    new.write_text("<!-- BEGIN GAPS -->\nnew\n<!-- END GAPS -->\n")
    monkeypatch.setattr(docs, "parts", lambda: {old: {docs.GAPS: "new"}, new: {docs.GAPS: "new"}})
    monkeypatch.setattr(docs, "patterns", lambda: [])

    assert list(docs.write()) == [old]
    assert old.read_text() == "# Gaps\n<!-- BEGIN GAPS -->\nnew\n<!-- END GAPS -->\nmore\n"
    assert list(docs.write()) == []


def test_a_module_is_described_by_its_inputs_and_outputs(tmp_path: Path) -> None:
    (tmp_path / "variables.tf").write_text(
        'variable "name" {\n  description = "Prefix of <name>-dlq | or none."\n  type = string\n}\n'
        'variable "kind" {\n  description = "Kind."\n  type = string\n  default = "x86_64"\n}\n'
        'variable "tags" {\n  description = "Tags."\n  type = list(object({ key = string }))\n  default = ["a"]\n}\n'
        'variable "limit" {\n  description = "Limit."\n  type = number\n  default = null\n}\n'
    )
    (tmp_path / "outputs.tf").write_text('output "arn" {\n  description = "The ARN."\n  value = 1\n}\n')

    assert docs.interface(tmp_path).splitlines() == [
        "| Input | Type | Default | Description |",
        "|---|---|---|---|",
        "| `name` | `string` | required | Prefix of &lt;name>-dlq \\| or none. |",
        '| `kind` | `string` | `"x86_64"` | Kind. |',
        '| `tags` | `list(object({key = string}))` | `["a"]` | Tags. |',
        "| `limit` | `number` | `null` | Limit. |",
        "",
        "| Output | Description |",
        "|---|---|",
        "| `arn` | The ARN. |",
    ]


def test_a_module_without_outputs_has_no_table_of_them(tmp_path: Path) -> None:
    (tmp_path / "variables.tf").write_text('variable "name" {\n  description = "Name."\n  type = string\n}\n')
    (tmp_path / "outputs.tf").write_text("# None.\n")

    assert docs.interface(tmp_path).splitlines() == [
        "| Input | Type | Default | Description |",
        "|---|---|---|---|",
        "| `name` | `string` | required | Name. |",
    ]


FOUND = Evidence(
    experiment="test_twice",
    pattern="saga",
    id="x1a2b3c4d",
    failure="It comes twice",
    claim="It runs once.",
    semantics=["SQS-10"],
    outcome=PASSED,
    observed="3 receives",
    table=[{"Orders": 6, "Runs": 17}],
    target=RanOn("local", "LocalStack 4.14.0", "us-east-1"),
    commit=Commit("cf1f609abc", False),
    date="2026-01-02T10:00:00+00:00",
    seconds=1.0,
    parameters={},
    timeline=[Event(0.5, "sent x1a2b3c4d-1")],
)
TEST_FAILURES = """import pytest


def test_that_is_no_experiment(): ...


@pytest.mark.experiment("SQS-10", "SQS-1", failure="It comes twice")
def test_twice():
    \"\"\"It runs
    once.\"\"\"


@pytest.mark.gap("queue-policy")
@pytest.mark.experiment("SNS-3", failure="It is refused")
def test_refused():
    \"\"\"It is lost.\"\"\"
"""


@pytest.fixture
def saga(lab_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a pattern with two experiments, which is the only one."""
    monkeypatch.setattr(paths, "PATTERNS", lab_dir / "patterns")
    monkeypatch.setattr(docs, "patterns", lambda: ["saga"])
    folder = lab_dir / "patterns/saga"
    (folder / "tests").mkdir(parents=True)
    (folder / "tests/test_failures.py").write_text(TEST_FAILURES)
    (folder / "README.md").write_text(
        "<!-- BEGIN TABLE test_twice -->\n<!-- END TABLE test_twice -->\n"
        "<!-- BEGIN FAILURES -->\n<!-- END FAILURES -->\n"
    )
    return folder


def leave(found: Evidence) -> None:
    """What a run of an experiment leaves."""
    found.save(paths.EVIDENCE / found.pattern)


def test_a_row_says_what_fails_what_happens_and_what_was_seen(saga: Path) -> None:
    FOUND.save(saga / "evidence")
    gap = replace(FOUND, experiment="test_refused", outcome=KNOWN_GAP, observed="", date="2026-01-05T01:00:00+00:00")
    gap.save(saga / "evidence")

    assert docs.failures("saga").splitlines() == [
        "Observed on LocalStack 4.14.0 between 2026-01-02 and 2026-01-05, at commit `cf1f609abc`.",
        "",
        "| Failure | What happens | Observed |",
        "|---|---|---|",
        "| [It comes twice](tests/test_failures.py#L7) | It runs once. | [3 receives](evidence/test_twice.json) "
        "([SQS-10](../../docs/semantics.md#sqs-10), [SQS-1](../../docs/semantics.md#sqs-1)) |",
        "| [It is refused](tests/test_failures.py#L13) | It is lost. "
        "| [cannot be shown](evidence/test_refused.json): [known gap](../../docs/gaps.md#queue-policy) "
        "([SNS-3](../../docs/semantics.md#sns-3)) |",
    ]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([], "Observed on LocalStack 4.14.0 on 2026-01-02, at commit `cf1f609abc`."),
        (
            [replace(FOUND, commit=Commit("aaaaaaaaaa", True), date="2026-01-01T10:00:00+00:00")],
            "Observed on LocalStack 4.14.0 between 2026-01-01 and 2026-01-02, at commit `aaaaaaaaaa` with changes, "
            "`cf1f609abc`.",
        ),
        (
            [replace(FOUND, target=RanOn("local", "LocalStack 5.0.0", "us-east-1"))],
            "Observed on LocalStack 4.14.0 and LocalStack 5.0.0 on 2026-01-02, at commit `cf1f609abc`.",
        ),
    ],
)
def test_where_and_when_is_said_once(others: list[Evidence], said: str) -> None:
    assert docs.where([FOUND, *others]) == said


def test_what_did_not_run_yet_is_said(saga: Path) -> None:
    table = docs.failures("saga")

    assert table.startswith("Observed: not run yet.\n")
    assert "| It runs once. | not run yet ([SQS-10]" in table
    assert docs.table("saga", "test_twice") == "not run yet"


def test_a_table_comes_from_the_evidence(saga: Path) -> None:
    FOUND.save(saga / "evidence")

    assert docs.parts()[saga / "README.md"]["<!-- BEGIN TABLE test_twice -->", "<!-- END TABLE test_twice -->"] == (
        "| Orders | Runs |\n|---|---|\n| 6 | 17 |\n\n"
        "([evidence](evidence/test_twice.json): LocalStack 4.14.0, 2026-01-02)"
    )


def test_new_evidence_is_committed_to_its_file_once(saga: Path) -> None:
    leave(FOUND)

    assert list(docs.publish("saga")) == [saga / "evidence/test_twice.json"]
    assert evidence.in_folder(saga / "evidence") == {"test_twice": FOUND.for_the_repository()}
    assert list(docs.publish("saga")) == []


@pytest.mark.parametrize(
    "later",
    [
        replace(FOUND, outcome="failed"),
        replace(FOUND, outcome="interrupted"),
        replace(FOUND, target=RanOn("aws", "AWS", "eu-central-1")),
        replace(FOUND, experiment="test_that_is_gone"),
    ],
)
def test_a_run_that_shows_nothing_of_the_local_target_is_not_committed(saga: Path, later: Evidence) -> None:
    FOUND.save(saga / "evidence")
    leave(replace(later, date="2026-01-03T10:00:00+00:00"))

    assert list(docs.publish("saga")) == []
    assert evidence.in_folder(saga / "evidence") == {"test_twice": FOUND}


def test_newer_evidence_takes_the_place_of_older_and_not_the_reverse(saga: Path) -> None:
    newer = replace(FOUND, id="x", observed="4 receives", date="2026-02-03T10:00:00+00:00")
    newer.save(saga / "evidence")
    leave(FOUND)

    assert list(docs.publish("saga")) == []
    leave(replace(newer, date="2026-03-03T10:00:00+00:00", id="x1a2b3c4d"))
    assert list(docs.publish("saga")) == [saga / "evidence/test_twice.json"]
    assert evidence.in_folder(saga / "evidence")["test_twice"].date == "2026-03-03T10:00:00+00:00"


def test_the_evidence_of_an_experiment_that_is_no_more_goes(saga: Path) -> None:
    file = replace(FOUND, experiment="test_that_is_gone").save(saga / "evidence")

    assert list(docs.publish("saga")) == [file]
    assert not file.exists()


def test_writing_takes_new_evidence_into_the_readme(saga: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "parts", lambda: {saga / "README.md": {docs.FAILURES: docs.failures("saga")}})
    leave(FOUND)

    assert list(docs.write()) == [saga / "evidence/test_twice.json", saga / "README.md"]
    assert "[3 receives](evidence/test_twice.json)" in (saga / "README.md").read_text()


def test_gaps_are_in_two_tables_by_whether_an_experiment_meets_them(
    saga: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = targets.Gap("queue-policy", "local", "LocalStack 4.14.0", "sqs", "SNS-3", "It is delivered.", "No policies.")
    monkeypatch.setattr(targets, "known_gaps", lambda: [replace(met, id="pipes", semantic=""), met])

    expected, others = docs.gaps().split("\n\n## Gaps that no experiment expects\n\n")

    assert expected.splitlines()[2:] == [
        "| Gap | Target | Service | Semantic | What happens instead | Why | Expected by |",
        "|---|---|---|---|---|---|---|",
        '| <a id="queue-policy"></a>`queue-policy` | LocalStack 4.14.0 | sqs | [SNS-3](semantics.md#sns-3) '
        "| It is delivered. | No policies. | [saga](../patterns/saga/tests/test_failures.py#L13) |",
    ]
    assert others.splitlines() == [
        "| Gap | Target | Service | Semantic | What happens instead | Why |",
        "|---|---|---|---|---|---|",
        '| <a id="pipes"></a>`pipes` | LocalStack 4.14.0 | sqs |  | It is delivered. | No policies. |',
    ]


@pytest.mark.parametrize("pattern", patterns())
def test_a_table_is_of_an_experiment_that_there_is(pattern: str) -> None:
    readme = (paths.PATTERNS / pattern / "README.md").read_text()

    shown = {experiment for _, experiment in docs.TABLE.findall(readme)}

    assert shown <= {function.__name__ for function in docs.experiments(pattern)}


@pytest.mark.parametrize("pattern", patterns())
def test_what_is_published_was_run_and_did_not_fail(pattern: str) -> None:
    seen = [cells[2] for cells in rows(pattern)]

    assert [text for text in seen if not re.match(r"\[[^\]]+\]\(evidence/test_\w+\.json\)", text)] == []


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_says_what_fails_what_happens_and_what_it_rests_on(experiment: object) -> None:
    mark = docs.mark(experiment, "experiment")  # type: ignore[arg-type]

    assert set(mark.kwargs) == {"failure"}
    assert mark.kwargs["failure"]
    assert mark.args, "it cites no semantic"
    assert {id.lower() for id in mark.args} <= ANCHORS
    assert claim(experiment).endswith(".")  # type: ignore[arg-type]
    assert "|" not in claim(experiment) + mark.kwargs["failure"], "it would end the table's cell"  # type: ignore[arg-type]


@pytest.mark.parametrize("gap", targets.known_gaps(), ids=lambda gap: gap.id)
def test_a_gap_names_a_target_and_an_existing_semantic(gap: targets.Gap) -> None:
    assert gap.target in targets.TARGETS
    assert not gap.semantic or gap.semantic.lower() in ANCHORS
    assert gap.instead.endswith(".")
    assert gap.reason.endswith(".")


def test_the_names_of_gaps_are_unique_and_those_that_experiments_name_exist() -> None:
    ids = [gap.id for gap in targets.known_gaps()]
    marks = [docs.mark(parameter.values[0], "gap") for parameter in EXPERIMENTS]  # type: ignore[arg-type]

    assert len(set(ids)) == len(ids)
    assert {mark.args[0] for mark in marks if mark} <= set(ids)


def test_semantics_have_one_row_each_and_their_source() -> None:
    rows = [line for line in SEMANTICS.splitlines() if line.startswith("| <a id=")]
    anchors = [(anchor, id) for row in rows for anchor, id in re.findall(r'^\| <a id="([^"]+)"></a>(\S+) \|', row)]

    assert len(anchors) == len(rows) == len(set(anchors)) > 0
    assert all(anchor == id.lower() for anchor, id in anchors)
    assert [row for row in rows if "https://" not in row.split(" | ")[-1]] == []


# One that is being made is not held to these two yet: CONTRIBUTING.md, "A new pattern".
FINISHED = re.findall(r"^\| \[`([a-z0-9-]+)`\]\(patterns/", (paths.ROOT / "README.md").read_text(), re.M)


@pytest.mark.parametrize("pattern", FINISHED)
def test_every_alarm_has_a_command_and_an_experiment_that_sets_it_off(pattern: str) -> None:
    """Or a declared gap, which its row names. That every alarm has a row is checked where a pattern is deployed."""
    rows = docs.alarm_rows(pattern)
    fired = {
        found[1]
        for file in (paths.PATTERNS / pattern / "evidence").glob("*.json")
        for event in evidence.load(file).timeline
        if (found := re.fullmatch(rf"alarm {pattern}-(\S+) (?:is ALARM|has fired)", event.event))
    }

    assert rows
    assert [name for name, row in rows.items() if not re.search(r"`(aws|make) [a-z]", row)] == []
    assert [name for name, row in rows.items() if name not in fired and "gaps.md#" not in row] == []


@pytest.mark.parametrize("pattern", FINISHED)
def test_what_an_idle_pattern_costs_counts_its_alarms(pattern: str) -> None:
    alarms = len(docs.alarm_rows(pattern))

    assert f"\n| alarms | {alarms} | " in (paths.PATTERNS / pattern / "README.md").read_text()
    assert f"\n| {pattern} | {alarms} | " in (paths.ROOT / "docs/prices.md").read_text()


def test_every_row_of_the_semantics_is_cited() -> None:
    ids = re.findall(r'<a id="[^"]+"></a>([A-Z0-9]+-\d+) \|', SEMANTICS)
    readers = [
        file.read_text()
        for folder in ("docs", "lab", "lambdas", "localstack-host", "modules", "patterns")
        for file in (paths.ROOT / folder).rglob("*")
        if file.suffix in {".md", ".py", ".tf", ".toml"} and file.name != "semantics.md"
    ]
    cited = {
        id.upper() for text in readers for id in re.findall(r"\b[A-Z0-9]+-\d+\b|(?<=semantics\.md#)[a-z0-9]+-\d+", text)
    }

    assert ids
    assert [id for id in ids if id not in cited] == []


@pytest.mark.parametrize(
    "pattern", [name for name in patterns() if not (paths.PATTERNS / name / "functions/replayer").exists()]
)
def test_where_no_replayer_is_only_an_archive_is_replayed(pattern: str) -> None:
    """The words are in docs/on-call.md: a move out of a dead-letter queue is a redrive, a repeated delivery is one."""
    text = re.sub(r"`[^`\n]*`", "", (paths.PATTERNS / pattern / "README.md").read_text())

    said = [line for line in text.splitlines() if "replay" in line and "archiv" not in line]

    assert said == []
