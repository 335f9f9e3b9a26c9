"""The generated parts of the READMEs say what the code says: experiments, modules and gaps."""

import json
import re
from pathlib import Path

import pytest

from lab import docs, paths, targets
from lab.deployment import patterns
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


def without_observed(table: str) -> list[str]:
    """A failure table's rows without their last column, which is another after every run."""
    return [row.rsplit(" | ", 1)[0] for row in table.splitlines()]


@pytest.mark.parametrize("pattern", patterns())
def test_the_failure_table_has_one_row_per_experiment_and_none_besides(pattern: str) -> None:
    table = generated(paths.PATTERNS / pattern / "README.md", docs.FAILURES)

    named = re.findall(r"\[`(\w+)`\]\(tests/test_failures\.py\)", table)

    assert named == [function.__name__.removeprefix("test_") for function in docs.experiments(pattern)], "make docs"


@pytest.mark.parametrize("pattern", patterns())
def test_the_failure_table_is_up_to_date(pattern: str) -> None:
    table = generated(paths.PATTERNS / pattern / "README.md", docs.FAILURES)

    assert without_observed(table) == without_observed(docs.failures(pattern)), "make docs writes it"


@pytest.mark.parametrize(
    ("file", "markers"),
    [
        (file, markers)
        for file, contents in docs.parts().items()
        for markers in contents
        if markers != docs.FAILURES and not docs.TABLE.match(markers[0])  # these are others after every run
    ],
    ids=lambda value: paths.shown(value) if isinstance(value, Path) else "",
)
def test_the_other_generated_parts_are_up_to_date(file: Path, markers: docs.Markers) -> None:
    assert generated(file, markers) == docs.parts()[file][markers], "make docs writes it"


def test_writing_changes_what_is_out_of_date_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old.md", tmp_path / "new.md"
    old.write_text("# Gaps\n<!-- BEGIN GAPS -->\nold\n<!-- END GAPS -->\nmore\n")
    new.write_text("<!-- BEGIN GAPS -->\nnew\n<!-- END GAPS -->\n")
    monkeypatch.setattr(docs, "parts", lambda: {old: {docs.GAPS: "new"}, new: {docs.GAPS: "new"}})

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


def write_evidence(lab_dir: Path, pattern: str, experiment: str, **fields: object) -> None:
    """What a run of an experiment on 2026-01-02 left."""
    file = lab_dir / f"evidence/{pattern}/{experiment}.json"
    file.parent.mkdir(parents=True)
    target = {"name": "local", "version": "LocalStack 4.14.0"}
    file.write_text(json.dumps({"date": "2026-01-02T10:00:00+00:00", "target": target, **fields}))


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ("passed", "3 receives (LocalStack 4.14.0, 2026-01-02)"),
        ("failed", "failed (LocalStack 4.14.0, 2026-01-02)"),
        ("known gap", "cannot be shown (LocalStack 4.14.0, 2026-01-02): [known gap](../../docs/gaps.md)"),
    ],
)
def test_the_observed_column_comes_from_evidence(lab_dir: Path, outcome: str, text: str) -> None:
    write_evidence(lab_dir, "fanout", "test_poison", outcome=outcome, observed="3 receives")

    assert docs.observed("fanout", "test_poison") == text
    assert docs.observed("fanout", "test_other") == "not run yet"


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ("passed", "| Orders | Runs |\n|---|---|\n| 6 | 17 |\n\n(LocalStack 4.14.0, 2026-01-02)"),
        ("failed", "what another run showed"),
    ],
)
def test_a_table_comes_from_an_experiment_that_passed(
    lab_dir: Path, monkeypatch: pytest.MonkeyPatch, outcome: str, text: str
) -> None:
    readme = lab_dir / "patterns/saga/README.md"
    readme.parent.mkdir(parents=True)
    readme.write_text("<!-- BEGIN TABLE test_twice -->\nwhat another run showed\n<!-- END TABLE test_twice -->\n")
    monkeypatch.setattr(paths, "PATTERNS", lab_dir / "patterns")
    monkeypatch.setattr(docs, "patterns", lambda: ["saga"])
    monkeypatch.setattr(docs, "failures", lambda pattern: "")
    write_evidence(lab_dir, "saga", "test_twice", outcome=outcome, table=[{"Orders": 6, "Runs": 17}])

    assert docs.parts()[readme]["<!-- BEGIN TABLE test_twice -->", "<!-- END TABLE test_twice -->"] == text


@pytest.mark.parametrize("pattern", patterns())
def test_a_table_is_of_an_experiment_that_there_is(pattern: str) -> None:
    readme = (paths.PATTERNS / pattern / "README.md").read_text()

    shown = {experiment for _, experiment in docs.TABLE.findall(readme)}

    assert shown <= {function.__name__ for function in docs.experiments(pattern)}


def test_what_did_not_run_here_keeps_what_it_showed_elsewhere(lab_dir: Path) -> None:
    table = generated(paths.PATTERNS / "fanout/README.md", docs.FAILURES)

    assert docs.failures("fanout") == table


@pytest.mark.parametrize("pattern", patterns())
def test_what_is_published_was_run_and_did_not_fail(pattern: str) -> None:
    table = generated(paths.PATTERNS / pattern / "README.md", docs.FAILURES)

    seen = [row.rsplit(" | ", 1)[1] for row in table.splitlines()[2:]]
    assert [text for text in seen if text.startswith((docs.NOT_RUN, "failed", "interrupted"))] == []


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
