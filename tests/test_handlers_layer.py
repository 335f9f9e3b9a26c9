"""The layer `handlers` as a whole: what each of its modules loads, and that a function's own files do not meet them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab import paths
from lab.handler_testing import LAYER, ImportAnew

BATCH = "aws_lambda_powertools.utilities.batch"
MODULES = sorted(file.stem for file in LAYER.glob("handlers/*.py") if file.stem != "__init__")


@pytest.mark.parametrize(
    ("module", "loads_it"),
    [("outcomes", False), ("task", False), ("orders", False), ("producer", False), ("sqs", True), ("stream", True)],
)
def test_only_what_works_on_batches_loads_the_code_for_batches(module: str, loads_it: bool) -> None:
    code = f"import sys; sys.path.insert(0, {str(LAYER)!r}); import handlers.{module}; print({BATCH!r} in sys.modules)"

    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(loads_it)


@pytest.mark.parametrize("name", [*MODULES, "consumer"])
def test_a_file_of_a_function_can_have_any_name_but_handlers(
    lambda_environment: None, import_anew: ImportAnew, tmp_path: Path, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text("OWN = True\n")
    (tmp_path / "app.py").write_text(f"import {name}\nfrom handlers.sqs import consume\n")

    app = import_anew("app", tmp_path)

    assert getattr(app, name).OWN
    assert app.consume.__module__ == "handlers.sqs"


def test_a_lone_surrogate_does_not_take_its_line_from_the_log() -> None:
    code = f"""if True:
        import sys; sys.path.insert(0, {str(LAYER)!r})
        from handlers.outcomes import log_success
        log_success({{"order_id": chr(0xD800)}}, {{"customer_id": "ü"}})
    """
    strict = {"PYTHONIOENCODING": "utf-8:strict"}  # as on Lambda

    done = subprocess.run([sys.executable, "-c", code], env=strict, capture_output=True, text=True, check=True)

    line = json.loads(done.stdout)
    assert (line["order_id"], line["customer_id"]) == ("\ud800", "ü")


def test_every_function_logs_through_the_layer() -> None:
    functions = (paths.PATTERNS).glob("*/functions/*/*.py")
    assert [str(file) for file in functions if "Logger(" in file.read_text()] == []
