"""How functions are loaded for their unit tests: as on Lambda, where each is alone."""

import json
import sys
from pathlib import Path

import boto3
import pytest

from lab.handler_testing import MODELS, Context, ImportAnew, LoadedFunction, create_queue, received, waiting

APP = """
import helper
from aws_lambda_powertools import Logger

logger = Logger()

def handler(event, context):
    logger.info("seen", extra={"by": helper.NAME})
    if event.get("fail"):
        raise ValueError("no")
    return context.get_remaining_time_in_millis()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text(APP)
        (tmp_path / name / "helper.py").write_text(f"NAME = {name!r}\n")
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "app.py").write_text(APP)
    return tmp_path


def test_modules_of_one_name_do_not_mix(lambda_environment: None, import_anew: ImportAnew, folder: Path) -> None:
    functions = [LoadedFunction(import_anew("app", folder / name), {}) for name in ("one", "other")]

    for function in functions:
        function.invoke({})

    assert [line["by"] for function in functions for line in function.lines] == ["one", "other"]


def test_a_function_does_not_find_the_modules_of_another(
    lambda_environment: None, import_anew: ImportAnew, folder: Path
) -> None:
    import_anew("app", folder / "one")

    with pytest.raises(ModuleNotFoundError, match="helper"):
        import_anew("app", folder / "alone")


def test_what_boto3_knows_of_services_is_read_once_for_all_tests(aws: None) -> None:
    searched = list(MODELS.search_paths)
    boto3.client("sqs")
    known = boto3._get_default_session()._session.get_component("data_loader")

    assert known is MODELS
    assert len(searched) == len(set(searched))


def test_the_path_is_as_it_was_after_a_function_is_loaded(
    lambda_environment: None, import_anew: ImportAnew, folder: Path
) -> None:
    before = list(sys.path)

    import_anew("app", folder / "one")

    assert sys.path == before


def test_the_lines_of_an_invocation_that_raises_are_kept(
    lambda_environment: None, import_anew: ImportAnew, folder: Path
) -> None:
    function = LoadedFunction(import_anew("app", folder / "one"), {})
    assert function.invoke({}, Context(remaining_ms=7)) == 7

    with pytest.raises(ValueError):
        function.invoke({"fail": True})

    assert [line["message"] for line in function.lines] == ["seen"]


def test_what_is_received_from_a_queue_is_gone(aws: None) -> None:
    queue_url = create_queue("orders")
    for number in range(12):
        boto3.client("sqs").send_message(QueueUrl=queue_url, MessageBody=json.dumps(number))
    assert waiting(queue_url) == 12

    assert sorted(json.loads(message["Body"]) for message in received(queue_url)) == list(range(12))
    assert waiting(queue_url) == 0
