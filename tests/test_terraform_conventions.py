"""Conventions that hold over every module and pattern: what tflint would check, and the repository's own."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from lab import hcl

ROOT = Path(__file__).resolve().parents[1]
FILES = ("main.tf", "variables.tf", "outputs.tf", "versions.tf")

MODULES = sorted(path.parent for path in ROOT.glob("modules/*/main.tf"))
PATTERNS = sorted(path.parent for path in ROOT.glob("patterns/*/main.tf"))
# Folders that lack a file must not escape by lacking main.tf: every folder with any Terraform counts.
FOLDERS = sorted({path.parent for kind in ("modules", "patterns") for path in ROOT.glob(f"{kind}/*/*.tf")})

# Each of them waits 25 s for the queue's attributes to settle, after the queue's own 25 s: write them inline.
SLOW_RESOURCES = {
    "aws_sqs_queue_policy",
    "aws_sqs_queue_redrive_policy",
    "aws_sqs_queue_redrive_allow_policy",
}

# A quoted value that ends in "*", as in "*", "sqs:*" or "${arn}:*".
WILDCARD = re.compile(r'"[^"]*\*"')


# Operations that create an object, and with it ObjectCreated events.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
CREATES_OBJECTS = ("s3:PutObject", "s3:RestoreObject", "s3:ReplicateObject")


def name_of(folder: Path) -> str:
    return str(folder.relative_to(ROOT))


each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
each_module = pytest.mark.parametrize("folder", MODULES, ids=name_of)
each_pattern = pytest.mark.parametrize("folder", PATTERNS, ids=name_of)


def blocks(folder: Path, kind: str, file: str = "*.tf") -> Iterator[tuple[str, dict[str, Any]]]:
    """Label and body of each block of a kind in the folder's files."""
    for path in sorted(folder.glob(file)):
        yield from hcl.blocks(path, kind)


def unexplained_wildcards(source: str) -> list[int]:
    """Numbers of the lines with a wildcard and no comment: on the line, or right above its run of wildcard lines."""
    lines, unexplained, explained = source.splitlines(), [], False
    for number, line in enumerate(lines, start=1):
        code, _, comment = line.partition("#")
        if WILDCARD.search(code):
            if not (explained or comment):
                unexplained.append(number)
        else:
            explained = not code.strip() and bool(comment)
    return unexplained


def prefix_clashes(names: list[str]) -> list[tuple[str, str]]:
    """Pairs of which the first name and a hyphen begin the second: their resources could not be told apart."""
    return [(short, long) for short in names for long in names if long.startswith(f"{short}-")]


def referred(value: Any) -> str:
    """The module or resource that an expression is about: `module.uploads` of "${module.uploads.arn}/incoming/*"."""
    found = re.search(r"(module\.\w+|aws_\w+\.\w+)(\[[^]]*\])?\.", str(value))
    return found[1] if found else ""


def may_create(action: str) -> bool:
    """Whether an action of a policy, perhaps with wildcards, creates objects."""
    return any(fnmatch(name.lower(), action.lower()) for name in CREATES_OBJECTS)


def loops(folder: Path) -> list[str]:
    """Functions that may create objects in the bucket that triggers them, as `function writes to bucket`.

    A list of statements that is computed, rather than written down, counts as a whole.
    """
    modules = dict(blocks(folder, "module"))
    found = []
    for label, notification in blocks(folder, "resource"):
        if not label.startswith("aws_s3_bucket_notification."):
            continue
        bucket = referred(notification["bucket"])
        triggered = {referred(each["lambda_function_arn"]) for each in notification.get("lambda_function", [])}
        for function in sorted(triggered):
            statements = modules[function.removeprefix("module.")].get("policy_statements", [])
            if isinstance(statements, str):
                actions, resources = re.findall(r"s3:[\w*?]+", statements), [f"{bucket}." in statements and bucket]
                statements = [{"actions": actions, "resources": resources}]
            for statement in statements:
                resources = [each for each in statement["resources"] if referred(f"{each}.") in (bucket, "")]
                if resources and any(may_create(action) for action in statement["actions"]):
                    found.append(f"{function} writes to {bucket}")
    return found


def test_there_is_something_to_check() -> None:
    assert MODULES and PATTERNS


@each_folder
def test_the_four_files(folder: Path) -> None:
    missing = [file for file in FILES if not (folder / file).is_file()]
    assert not missing, f"{name_of(folder)} lacks {', '.join(missing)}"


@each_folder
def test_variables_are_typed_and_described_in_their_file(folder: Path) -> None:
    declared = dict(blocks(folder, "variable"))
    incomplete = [name for name, body in declared.items() if not (body.get("type") and body.get("description"))]
    assert not incomplete, f"{name_of(folder)}: no type or description: {', '.join(incomplete)}"
    assert declared.keys() == dict(blocks(folder, "variable", "variables.tf")).keys()


@each_folder
def test_outputs_are_described_in_their_file(folder: Path) -> None:
    declared = dict(blocks(folder, "output"))
    incomplete = [name for name, body in declared.items() if not body.get("description")]
    assert not incomplete, f"{name_of(folder)}: no description: {', '.join(incomplete)}"
    assert declared.keys() == dict(blocks(folder, "output", "outputs.tf")).keys()


@each_folder
def test_versions_are_required(folder: Path) -> None:
    settings = hcl.load(folder / "versions.tf").get("terraform", [])
    assert any(block.get("required_version") for block in settings)
    providers = [provider for block in settings for provider in block.get("required_providers", [])]
    assert providers, f"{name_of(folder)}/versions.tf has no required_providers"
    for provider in providers:
        for name, requirement in provider.items():
            assert requirement.get("source") and requirement.get("version"), f"{name}: source or version missing"


@each_folder
def test_wildcards_have_their_reason_beside_them(folder: Path) -> None:
    unexplained = [
        f"{name_of(path)}:{line}"
        for path in sorted(folder.glob("*.tf"))
        for line in unexplained_wildcards(path.read_text())
    ]
    assert not unexplained, f"say right above why it has to be a wildcard: {', '.join(unexplained)}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('Action = "sqs:*"', [1]),
        ('Resource = ["${aws_sqs_queue.this.arn}:*"]', [1]),
        ('# why\nsid = "a"\nAction = "*"', [3]),
        ('# why\nAction = "*"\nResource = "*"', []),
        ('Action = "*" # why', []),
        ('Action = "sqs:SendMessage"', []),
    ],
)
def test_a_wildcard_is_found_unless_explained(source: str, expected: list[int]) -> None:
    assert unexplained_wildcards(source) == expected


@each_folder
def test_queue_attributes_are_inline(folder: Path) -> None:
    slow = [label for label, _ in blocks(folder, "resource") if label.split(".")[0] in SLOW_RESOURCES]
    assert not slow, f"{name_of(folder)}: 25 s more for each of {', '.join(slow)}; write it into the aws_sqs_queue"


@each_folder
def test_a_log_group_does_not_keep_its_lines_for_ever(folder: Path) -> None:
    groups = {
        label: body for label, body in blocks(folder, "resource") if label.startswith("aws_cloudwatch_log_group.")
    }
    endless = [label for label, body in groups.items() if not body.get("retention_in_days")]
    assert not endless, f"{name_of(folder)}: no retention_in_days, which is for ever: {', '.join(endless)}"


@each_folder
def test_every_variable_is_used(folder: Path) -> None:
    variables = dict(blocks(folder, "variable"))
    code = "".join(path.read_text() for path in folder.glob("*.tf") if path.name != "variables.tf")
    for name in variables:
        others = str([body for other, body in variables.items() if other != name])  # one may validate another
        assert re.search(rf"\bvar\.{name}\b", code + others), f"{name_of(folder)}: nothing uses var.{name}"


@each_module
def test_a_modules_main_resource_is_named_this(folder: Path) -> None:
    # A module that creates nothing is about what it reads.
    main = list(blocks(folder, "resource")) or list(blocks(folder, "data"))
    labels = [label for label, _ in main]
    assert any(label.endswith(".this") for label in labels), f"{name_of(folder)} has only {', '.join(labels)}"


@each_module
def test_a_module_leaves_the_provider_to_the_pattern(folder: Path) -> None:
    assert not list(blocks(folder, "provider"))


@each_module
def test_a_modules_readme_has_usage_and_generated_tables(folder: Path) -> None:
    readme = (folder / "README.md").read_text()
    assert "```hcl" in readme
    assert re.search(r"<!-- BEGIN_TF_DOCS -->.*<!-- END_TF_DOCS -->", readme, re.DOTALL)


@each_pattern
def test_everything_is_tagged_and_the_environment_names_the_endpoint(folder: Path) -> None:
    providers = dict(blocks(folder, "provider"))
    tags = {"pattern": folder.name, "deployment": "${var.name}", "managed-by": "terraform"}
    assert providers == {"aws": {"default_tags": [{"tags": tags}]}}


@each_pattern
def test_a_patterns_default_name_is_its_folder(folder: Path) -> None:
    assert dict(blocks(folder, "variable"))["name"]["default"] == folder.name


@each_pattern
def test_state_of_an_emulator_and_of_aws_cannot_be_mixed_up(folder: Path) -> None:
    # Nothing but the source: `count` could leave the guard out, and `depends_on` puts it off until the apply.
    assert dict(blocks(folder, "module"))["account"] == {"source": "../../modules/account"}


@each_pattern
def test_no_function_may_write_to_the_bucket_that_triggers_it(folder: Path) -> None:
    """S3-4: its own objects would invoke it again, and again. A prefix only helps as long as nobody changes it."""
    assert loops(folder) == []


NOTIFICATION = """
resource "aws_s3_bucket_notification" "uploads" {
  bucket = module.uploads.name
  lambda_function {
    lambda_function_arn = module.ingest.arn
    filter_prefix       = "incoming/"
  }
}
"""


@pytest.mark.parametrize(
    ("statements", "is_a_loop"),
    [
        ('[{ actions = ["s3:PutObject"], resources = ["${module.uploads.arn}/done/*"] }]', True),
        ('[{ actions = ["s3:GetObject", "s3:Put*"], resources = [module.uploads.arn] }]', True),
        ('[{ actions = ["s3:*"], resources = ["*"] }]', True),
        ('[{ actions = ["s3:PutObject"], resources = [local.somewhere] }]', True),
        ('concat([{ actions = ["s3:PutObject"], resources = ["${module.uploads.arn}/*"] }], [])', True),
        ('[{ actions = ["s3:PutObject"], resources = ["${module.quarantine.arn}/*"] }]', False),
        ('[{ actions = ["s3:GetObjectVersion"], resources = ["${module.uploads.arn}/*"] }]', False),
        ("[]", False),
    ],
)
def test_a_loop_is_found(tmp_path: Path, statements: str, is_a_loop: bool) -> None:
    module = f'module "ingest" {{\n  policy_statements = {statements}\n}}\n'
    (tmp_path / "main.tf").write_text(NOTIFICATION + module)

    assert loops(tmp_path) == (["module.ingest writes to module.uploads"] if is_a_loop else [])


def test_no_patterns_name_begins_anothers() -> None:
    assert prefix_clashes([folder.name for folder in PATTERNS]) == []


def test_a_clash_of_names_is_found() -> None:
    assert prefix_clashes(["fanout", "fanout-fifo", "fan"]) == [("fanout", "fanout-fifo")]


@each_pattern
def test_every_dead_letter_queue_can_be_looked_into(folder: Path) -> None:
    """`make peek` knows a queue's own from the output `queues`, and all others from `dead_letter_queues`."""
    made = {
        label for label, body in blocks(folder, "module", "main.tf") if body["source"].endswith("/dead-letter-queue")
    }
    told = str(dict(blocks(folder, "output")).get("dead_letter_queues", {}).get("value", ""))

    assert set(re.findall(r"module\.(\w+)", told)) == made


def test_ci_runs_the_oldest_provider_that_is_taken_and_the_newest() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    taken = {re.search(r'version = ">= ([\d.]+), < 7', file.read_text()) for file in ROOT.glob("*/*/versions.tf")}
    oldest = {found[1] if found else None for found in taken}

    assert oldest == {"5.100"}
    assert f"provider: {oldest.pop()}.0" in workflow
    assert "provider: [newest 6.x]" in workflow
