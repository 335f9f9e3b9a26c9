"""The Terraform runner: errors that can be read, progress, interruption, where the provider comes from, and state."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from lab import paths, terraform
from lab.console import LabError
from lab.terraform import Terraform

FakeTerraform = Callable[[str], Path]

QUEUE = 'aws_sqs_queue.this["billing"]'
FAILED_APPLY: list[dict[str, Any]] = [
    {"type": "version", "terraform": "1.11.4", "ui": "1.2"},
    {"type": "planned_change", "change": {"resource": {"addr": QUEUE}, "action": "create"}},
    {"type": "change_summary", "changes": {"add": 2, "change": 0, "import": 0, "remove": 0, "operation": "plan"}},
    {
        "type": "diagnostic",
        "diagnostic": {"severity": "warning", "summary": "Deprecated argument", "detail": "Use another."},
    },
    {
        "type": "diagnostic",
        "diagnostic": {
            "severity": "error",
            "summary": "creating SQS Queue (fanout-billing)",
            "detail": "operation error SQS: CreateQueue,\n  https response error StatusCode: 400,\n"
            "  QueueDeletedRecently",
            "address": QUEUE,
            "range": {"filename": "../../modules/queue/main.tf", "start": {"line": 7}, "end": {"line": 7}},
        },
    },
]


def event(kind: str, address: str, at: str, action: str = "create", resource_type: str = "aws_sqs_queue") -> Any:
    """A line about a resource as Terraform writes it; `at` is a time of day."""
    return {
        "@timestamp": f"2026-01-02T{at}Z",
        "type": kind,
        "hook": {"resource": {"addr": address, "resource_type": resource_type}, "action": action},
    }


def printing(events: list[Any], status: int = 0) -> str:
    """Code for a fake Terraform that applies by printing these lines."""
    lines = [json.dumps(event) if not isinstance(event, str) else event for event in events]
    return f"""
if arguments[0] in ('apply', 'destroy'):
    print(*{lines!r}, sep='\\n', flush=True)
    sys.exit({status})
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / "modules/orders"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lab_dir: Path) -> Path:
    """A home without any configuration of Terraform, and no other place that could hold a mirror; returns the home."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    monkeypatch.delenv(terraform.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(terraform, "SYSTEM_MIRRORS", [tmp_path / "system/plugins"])
    monkeypatch.setattr(terraform, "MIRROR_PARENTS", [tmp_path / "opt", tmp_path / "share"])
    return home


def make_mirror(folder: Path, provider: str = "hashicorp/aws") -> Path:
    (folder / "registry.terraform.io" / provider / "5.100.0").mkdir(parents=True)
    return folder


def ignore(line: str) -> None:
    """Progress that nobody looks at."""


class TestErrors:
    def test_a_failed_apply_names_resource_summary_detail_and_place_and_nothing_else(
        self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform
    ) -> None:
        fake_terraform(printing(FAILED_APPLY, status=1))

        with pytest.raises(LabError) as failed:
            Terraform(module, "local", {}).apply({}, ignore)

        log = lab_dir / "logs/terraform-orders-local.log"
        assert str(failed.value).splitlines() == [
            f"terraform apply failed in {module}:",
            f"{QUEUE}: creating SQS Queue (fanout-billing): operation error SQS: CreateQueue, https response error "
            "StatusCode: 400, QueueDeletedRecently (../../modules/queue/main.tf:7)",
            f"The whole log: {log}",
        ]
        assert "Deprecated argument" in log.read_text()
        assert "planned_change" in log.read_text()

    def test_every_error_is_shown(self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform) -> None:
        second = {"type": "diagnostic", "diagnostic": {"severity": "error", "summary": "No valid credentials"}}
        fake_terraform(printing([*FAILED_APPLY, second], status=1))

        with pytest.raises(LabError, match=r"QueueDeletedRecently(?s:.*)\nNo valid credentials\n"):
            Terraform(module, "local", {}).destroy({}, ignore)

    def test_text_that_is_not_machine_readable_is_shown(
        self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform
    ) -> None:
        fake_terraform(printing(["panic: runtime error", "", "goroutine 1 [running]"], status=2))

        with pytest.raises(LabError, match=r":\npanic: runtime error\ngoroutine 1 \[running\]\nThe whole log"):
            Terraform(module, "local", {}).apply({}, ignore)

    def test_an_end_without_a_word(self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform) -> None:
        fake_terraform("if arguments[0] == 'apply': sys.exit(1)")

        with pytest.raises(LabError, match=r"\(no error message\)\nThe whole log"):
            Terraform(module, "local", {}).apply({}, ignore)

    def test_a_failed_init_shows_what_terraform_says(
        self, no_configuration: Path, module: Path, fake_terraform: FakeTerraform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(terraform, "registry_answers", lambda: True)
        fake_terraform("if arguments[0] == 'init':\n    print('Error: no provider', file=sys.stderr)\n    sys.exit(1)")
        runner = Terraform(module, "local", {})

        for _ in range(2):  # a failed init is not taken for a done one
            with pytest.raises(LabError, match=r"terraform init failed in .*orders:\nError: no provider"):
                runner.init()

    @pytest.mark.parametrize(
        ("diagnostic", "text"),
        [
            ({"summary": "Invalid value"}, "Invalid value"),
            ({"summary": "Invalid value", "detail": "one\n  two"}, "Invalid value: one two"),
            ({"summary": "Invalid value", "address": "module.a.b.c"}, "module.a.b.c: Invalid value"),
            (
                {"summary": "Invalid value", "range": {"filename": "main.tf", "start": {"line": 3}}},
                "Invalid value (main.tf:3)",
            ),
        ],
    )
    def test_a_diagnostic_is_one_line(self, diagnostic: dict[str, Any], text: str) -> None:
        assert terraform.readable(diagnostic) == text


class TestProgress:
    def test_counts_what_is_done_and_names_what_takes_longest(
        self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform
    ) -> None:
        fake_terraform(
            printing(
                [
                    {"type": "version"},
                    {"type": "change_summary", "changes": {"add": 2, "change": 1, "remove": 0}},
                    event("apply_start", "aws_sqs_queue.dlq", "10:00:00"),
                    event("apply_start", "aws_sqs_queue.this", "10:00:05"),
                    event("apply_complete", "aws_sqs_queue.dlq", "10:00:25"),
                    event("apply_errored", "aws_sqs_queue.this", "10:00:30"),
                ]
            )
        )
        shown: list[str] = []

        Terraform(module, "local", {}).apply({}, shown.append)

        assert [line.rsplit(" ", 2)[0] if line.endswith(" s") else line for line in shown] == [
            "planning",
            "0 of 3",
            "0 of 3 · aws_sqs_queue.dlq",
            "0 of 3 · aws_sqs_queue.dlq",
            "1 of 3 · aws_sqs_queue.this",
            "2 of 3",
        ]

    def test_the_outcome_holds_the_last_counts(
        self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform
    ) -> None:
        fake_terraform(
            printing(
                [
                    {"type": "change_summary", "changes": {"add": 9, "change": 9, "remove": 9}},
                    {"type": "change_summary", "changes": {"add": 3, "change": 2, "import": 0, "remove": 1}},
                ]
            )
        )

        outcome = Terraform(module, "local", {}).apply({}, ignore)

        assert outcome.changes == {"add": 3, "change": 2, "remove": 1}
        assert outcome.sqs_wait_seconds == 0

    @pytest.mark.parametrize(
        ("intervals", "seconds"),
        [
            pytest.param([("a", "10:00:00", "10:00:25")], 25, id="one"),
            pytest.param([("a", "10:00:00", "10:00:25"), ("b", "10:00:05", "10:00:30")], 30, id="overlapping"),
            pytest.param([("a", "10:00:00", "10:00:25"), ("b", "10:00:30", "10:00:55")], 50, id="one after the other"),
            pytest.param([("a", "10:00:00", "10:00:25"), ("b", "10:00:05", "10:00:10")], 25, id="one within the other"),
        ],
    )
    def test_time_in_which_a_queue_is_created_counts_once(
        self,
        lab_dir: Path,
        module: Path,
        fake_terraform: FakeTerraform,
        intervals: list[tuple[str, str, str]],
        seconds: float,
    ) -> None:
        started = [event("apply_start", name, start) for name, start, _ in intervals]
        completed = [event("apply_complete", name, end) for name, _, end in intervals]
        fake_terraform(printing(started + completed))

        assert Terraform(module, "local", {}).apply({}, ignore).sqs_wait_seconds == seconds

    @pytest.mark.parametrize(
        "other", [{"action": "delete"}, {"action": "update"}, {"resource_type": "aws_lambda_function"}]
    )
    def test_other_work_is_not_taken_for_waiting_for_queues(
        self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform, other: dict[str, str]
    ) -> None:
        fake_terraform(
            printing(
                [event("apply_start", "a", "10:00:00", **other), event("apply_complete", "a", "10:00:25", **other)]
            )
        )

        assert Terraform(module, "local", {}).apply({}, ignore).sqs_wait_seconds == 0


class TestInterruption:
    # Saves only what came before it was asked to stop, after writing more than a pipe holds: it must be read, and
    # waited for.
    INTERRUPTED = """
if arguments[0] == 'apply':
    interrupts = []
    signal.signal(signal.SIGINT, lambda *_: interrupts.append(1))
    print(json.dumps({'type': 'change_summary', 'changes': {'add': 1, 'change': 0, 'remove': 0}}), flush=True)
    while not interrupts:
        signal.pause()
    print('stopping ' * 100_000, flush=True)
    own_session = os.getsid(0) == os.getpid()
    pathlib.Path('saved.json').write_text(json.dumps({'interrupts': len(interrupts), 'own_session': own_session}))
    sys.exit(1)
"""

    @pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
    def test_terraform_is_asked_once_to_stop_and_waited_for(
        self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform, interruption: type[BaseException]
    ) -> None:
        fake_terraform(self.INTERRUPTED)
        shown: list[str] = []

        def interrupt(line: str) -> None:
            shown.append(line)
            if len(shown) == 1:
                raise interruption

        with pytest.raises(interruption):
            Terraform(module, "local", {}).apply({}, interrupt)

        assert json.loads((module / "saved.json").read_text()) == {"interrupts": 1, "own_session": True}
        assert shown[1:] == ["interrupted: waiting for Terraform to save its state"]

    def test_terraform_finishes_when_the_lab_is_killed(
        self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform, tmp_path: Path
    ) -> None:
        """It has made things that its state does not know yet, and goes on to write about them."""
        go_on = tmp_path / "go-on"
        os.mkfifo(go_on)
        fake_terraform(
            "if arguments[0] == 'apply':\n"
            "    pathlib.Path('begun').touch()\n"
            f"    open({str(go_on)!r}).read()\n"
            "    print('still creating ' * 100_000, flush=True)\n"
            "    pathlib.Path('saved').touch()\n"
        )
        code = (
            "from pathlib import Path; from lab.terraform import Terraform\n"
            f"Terraform(Path({str(module)!r}), 'local', {{}}).apply({{}}, print)"
        )
        environment = {**os.environ, "LAB_DIR": str(lab_dir), "PYTHONPATH": str(paths.ROOT)}
        with subprocess.Popen([sys.executable, "-c", code], env=environment) as lab:
            wait_for(module / "begun")
            lab.kill()

        go_on.write_text("")

        wait_for(module / "saved")


def wait_for(file: Path) -> None:
    """Waits until there is such a file."""
    missing = retry_if_result(lambda there: not there)
    Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.05), retry=missing)(file.exists)


class TestLock:
    DETAIL = (
        "Error message: resource temporarily unavailable\nLock Info:\n  ID:        d0232bb3\n"
        "  Path:      /lab/state/fanout/local/terraform.tfstate\n  Operation: OperationTypeApply\n"
        "  Who:       jo@laptop\n  Version:   1.11.4\n  Created:   2026-11-25 18:31:36.270797818 +0000 UTC\n"
    )

    def test_what_another_command_is_changing(self, lab_dir: Path, module: Path, fake_terraform: FakeTerraform) -> None:
        diagnostic = {"severity": "error", "summary": "Error acquiring the state lock", "detail": self.DETAIL}
        line = json.dumps({"type": "diagnostic", "diagnostic": diagnostic})
        fake_terraform(f"if arguments[0] == 'apply': print({line!r}); sys.exit(1)")

        with pytest.raises(LabError) as refused:
            Terraform(module, "local", {}).apply({}, ignore)

        assert str(refused.value) == (
            f"Another command is changing {module.name} (local) at this moment (terraform apply of jo@laptop since "
            "2026-11-25 18:31:36 UTC). Wait until it has ended, and try again."
        )


class TestExecutable:
    def test_not_on_path(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(LabError, match=r"Terraform is not installed.*1\.9 or newer: https://"):
            terraform.find_executable()

    @pytest.mark.parametrize("version", ["1.8.5", "0.15.0", "1.8.0-rc1"])
    def test_too_old(self, lab_dir: Path, fake_terraform: FakeTerraform, version: str) -> None:
        program = fake_terraform(f"print(json.dumps({{'terraform_version': '{version}'}})); sys.exit()")

        with pytest.raises(LabError) as refused:
            terraform.find_executable()
        assert f"Terraform {version} ({program}) is too old. Get 1.9 or newer" in str(refused.value)

    @pytest.mark.parametrize("version", ["1.9.0", "1.10.0-beta1", "1.11.4", "2.0.0"])
    def test_recent_enough(self, lab_dir: Path, fake_terraform: FakeTerraform, version: str) -> None:
        program = fake_terraform(f"print(json.dumps({{'terraform_version': '{version}'}})); sys.exit()")

        assert terraform.find_executable() == str(program)

    @pytest.mark.parametrize("answer", ["print('Terraform v1.11.4')", "print('{}')", "print('[]')", "pass"])
    def test_an_answer_that_names_no_version(self, lab_dir: Path, fake_terraform: FakeTerraform, answer: str) -> None:
        program = fake_terraform(f"{answer}\nprint('exec format error', file=sys.stderr)\nsys.exit(1)")

        with pytest.raises(LabError) as refused:
            terraform.find_executable()
        assert f"{program} does not answer `version -json`:\nexec format error" in str(refused.value)


class TestProviderSource:
    def test_nowhere(self, no_configuration: Path) -> None:
        assert terraform.find_mirror() is None

    def test_the_order_in_which_mirrors_are_looked_for(
        self, no_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Made in reverse: each one that is added comes before all that were there."""
        last_to_first = [
            tmp_path / "share/plugins",
            tmp_path / "opt/b-plugins",
            tmp_path / "opt/a-plugins",
            tmp_path / "system/plugins",
            no_configuration / ".local/share/terraform/plugins",
            no_configuration / ".terraform.d/plugins",
        ]
        for folder in last_to_first:
            make_mirror(folder)
            assert terraform.find_mirror() == folder
        monkeypatch.setenv(terraform.MIRROR_VARIABLE, str(make_mirror(tmp_path / "named")))
        assert terraform.find_mirror() == tmp_path / "named"

    def test_two_levels_below_is_too_deep(self, no_configuration: Path, tmp_path: Path) -> None:
        make_mirror(tmp_path / "opt/vendor/plugins")

        assert terraform.find_mirror() is None

    def test_a_mirror_without_the_aws_provider_is_passed_over(self, no_configuration: Path, tmp_path: Path) -> None:
        make_mirror(no_configuration / ".terraform.d/plugins", "hashicorp/random")
        mirror = make_mirror(tmp_path / "opt/plugins")

        assert terraform.find_mirror() == mirror

    def test_a_named_folder_that_is_no_mirror_is_an_error(
        self, no_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_mirror(tmp_path / "opt/plugins")
        monkeypatch.setenv(terraform.MIRROR_VARIABLE, str(tmp_path / "nowhere"))

        with pytest.raises(LabError, match=r"LAB_TERRAFORM_MIRROR=.*nowhere holds no provider mirror"):
            terraform.choose_provider_source()

    @pytest.mark.parametrize("answers", [True, False])
    def test_the_registry_where_it_answers_else_a_mirror(
        self, no_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool
    ) -> None:
        mirror = make_mirror(tmp_path / "opt/plugins")
        monkeypatch.setattr(terraform, "registry_answers", lambda: answers)

        terraform.choose_provider_source()

        configuration = Path(terraform.automation("local")["TF_CLI_CONFIG_FILE"]).read_text()
        assert ("plugin_cache_dir" in configuration) is answers
        assert (f'path = "{mirror}"' in configuration) is not answers

    def test_a_folder_with_quotes_in_its_name(
        self, no_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(terraform.MIRROR_VARIABLE, str(make_mirror(tmp_path / 'a "mirror" \\ of $x')))

        terraform.choose_provider_source()

        configuration = Path(terraform.automation("local")["TF_CLI_CONFIG_FILE"]).read_text()
        assert f'path = "{tmp_path}/a \\"mirror\\" \\\\ of $x"' in configuration

    def test_a_named_mirror_wins_over_the_registry(
        self, no_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(terraform, "registry_answers", lambda: True)
        monkeypatch.setenv(terraform.MIRROR_VARIABLE, str(make_mirror(tmp_path / "named")))

        terraform.choose_provider_source()

        assert str(tmp_path / "named") in Path(terraform.automation("local")["TF_CLI_CONFIG_FILE"]).read_text()

    def test_a_terraform_that_reads_the_configuration_meanwhile_finds_all_of_it(
        self, no_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_mirror(tmp_path / "opt/plugins")
        monkeypatch.setattr(terraform, "registry_answers", lambda: False)
        terraform.choose_provider_source()
        configuration = Path(terraform.automation("local")["TF_CLI_CONFIG_FILE"])
        before = configuration.read_text()

        with configuration.open() as being_read:
            monkeypatch.setattr(terraform, "registry_answers", lambda: True)
            terraform.choose_provider_source()

            assert being_read.read() == before
        assert configuration.read_text() != before
        assert sorted(os.listdir(configuration.parent)) == ["plugins", configuration.name]

    def test_the_registry_does_not_answer(self, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
        monkeypatch.setattr(terraform, "REGISTRY", f"127.0.0.1:{free_port}")
        monkeypatch.delenv("HTTPS_PROXY", raising=False)
        monkeypatch.delenv("https_proxy", raising=False)

        assert terraform.registry_answers() is False

    @pytest.mark.parametrize("where", ["variable", "home"])
    def test_a_users_own_configuration_is_respected(
        self, no_configuration: Path, lab_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        if where == "variable":
            own = tmp_path / "own.tfrc"
            monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(own))
        else:
            own = no_configuration / ".terraformrc"
        own.write_text("")

        terraform.choose_provider_source()

        assert terraform.users_configuration()
        assert "TF_CLI_CONFIG_FILE" not in terraform.automation("local")
        assert not (lab_dir / "terraform").exists()

    def test_a_configuration_file_that_does_not_exist_does_not_get_in_the_way(
        self, no_configuration: Path, lab_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "missing.tfrc"))

        assert terraform.automation("local")["TF_CLI_CONFIG_FILE"] == str(lab_dir / "terraform/terraform.rc")

    def test_what_env_exported_is_not_taken_for_the_users(
        self, no_configuration: Path, lab_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(terraform, "registry_answers", lambda: True)
        terraform.choose_provider_source()
        monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(lab_dir / "terraform/terraform.rc"))

        assert not terraform.users_configuration()


class TestRealTerraform:
    """On a module that needs no provider from anywhere (`terraform_data` is built in)."""

    MODULE = """
terraform {
  backend "local" {}
}

variable "order" {
  type    = string
  default = "o-1"
}

resource "terraform_data" "order" {
  input = var.order

  lifecycle {
    precondition {
      condition     = var.order != "refused"
      error_message = "This order is refused."
    }
  }
}

output "order" {
  value = terraform_data.order.output
}
"""

    @pytest.fixture(autouse=True)
    def real_module(self, no_configuration: Path, module: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (module / "main.tf").write_text(self.MODULE)
        monkeypatch.setattr(paths, "MODULES", module.parent)
        monkeypatch.setattr(terraform, "registry_answers", lambda: True)
        return module

    def test_apply_again_read_destroy_and_forget(self, module: Path, lab_dir: Path, tmp_path: Path) -> None:
        runner = Terraform(module, "local-t3fa9c1", {})
        state = lab_dir / "state/orders/local-t3fa9c1/terraform.tfstate"
        runner.init()
        assert runner.outputs() == {}

        first = runner.apply({"order": "o-2"}, ignore)
        assert first.changes == {"add": 1, "change": 0, "remove": 0}
        assert runner.outputs() == {"order": "o-2"}
        assert json.loads(state.read_text())["resources"]

        second = runner.apply({"order": "o-2"}, ignore)
        assert second.changes == {"add": 0, "change": 0, "remove": 0}

        destroyed = runner.destroy({"order": "o-2"}, ignore)
        assert destroyed.changes == {"add": 0, "change": 0, "remove": 1}
        assert runner.outputs() == {}

        runner.forget()
        assert not state.parent.exists()
        assert not list(module.glob("*.tfstate*"))

    def test_workspaces_do_not_mix(self, module: Path) -> None:
        one, other = Terraform(module, "local", {}), Terraform(module, "endpoint", {})
        for runner in (one, other):
            runner.init()
        one.apply({"order": "o-1"}, ignore)
        other.apply({"order": "o-2"}, ignore)

        one.destroy({}, ignore)

        assert one.outputs() == {}
        assert other.outputs() == {"order": "o-2"}

    def test_plain_terraform_in_the_folder_sees_the_same_state(self, module: Path) -> None:
        runner = Terraform(module, "local", {})
        runner.init()
        runner.apply({}, ignore)

        done = subprocess.run(
            ["terraform", "plan", "-detailed-exitcode"],
            cwd=module,
            env={**os.environ, **terraform.automation("local")},
            capture_output=True,
            text=True,
        )

        assert done.returncode == 0, done.stdout + done.stderr
        assert "No changes" in done.stdout

    def test_init_runs_once_and_again_when_something_changed(self, module: Path, lab_dir: Path) -> None:
        runner = Terraform(module, "local", {})

        def inits() -> int:
            return runner.log.read_text().count(" init ")

        runner.init()
        runner.init()
        assert inits() == 1
        (module / "more.tf").write_text('output "more" {\n  value = 1\n}\n')
        runner.init()
        assert inits() == 2
        shutil.rmtree(module / ".terraform")
        runner.init()
        assert inits() == 3

    def test_two_labs_take_turns_on_one_folder_without_mixing_their_states(
        self, module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = Terraform(module, "local", {})
        one.init()
        one.apply({"order": "o-1"}, ignore)
        monkeypatch.setattr(paths, "STATE", tmp_path / "other/state")
        other = Terraform(module, "local", {})
        other.init()
        assert other.outputs() == {}

        one.init()

        assert one.outputs() == {"order": "o-1"}

    def test_a_refused_plan_is_readable(self, module: Path) -> None:
        runner = Terraform(module, "local", {})
        runner.init()

        with pytest.raises(LabError) as failed:
            runner.apply({"order": "refused"}, ignore)

        assert str(failed.value).splitlines()[1:-1] == [
            "Resource precondition failed: This order is refused. (main.tf:16)"
        ]

    def test_a_missing_configuration_file_of_the_users_is_no_error(
        self, module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "missing.tfrc"))
        runner = Terraform(module, "local", {})

        runner.init()

        runner.apply({}, ignore)
        assert runner.outputs() == {"order": "o-1"}
        assert "missing.tfrc" not in runner.log.read_text()


def test_settings_of_yours_do_not_lead_a_target_elsewhere(
    monkeypatch: pytest.MonkeyPatch, fake_terraform: FakeTerraform, lab_dir: Path
) -> None:
    """One service's endpoint outranks that of all, which is the target's."""
    fake_terraform("")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://localhost:1")
    monkeypatch.setenv("AWS_PROFILE", "shop")

    emulator = Terraform(paths.PATTERNS / "fanout", "local", {"AWS_ACCESS_KEY_ID": "test", "AWS_ENDPOINT_URL": "url"})
    aws = Terraform(paths.PATTERNS / "fanout", "aws", {"AWS_REGION": "eu-west-1"})

    assert not {"AWS_ENDPOINT_URL_SQS", "AWS_PROFILE"} & set(emulator.environment)
    assert aws.environment["AWS_PROFILE"] == "shop"
