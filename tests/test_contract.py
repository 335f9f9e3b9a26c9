"""What a pattern's outputs have to be, and what is said when they are not."""

from typing import Any

import pytest

from lab.console import LabError
from lab.contract import Contract, Function, Queue, StateMachine

LEAST: dict[str, Any] = {"entry": "producer", "functions": {"producer": {"name": "p-producer", "log_group": "/p"}}}
WHOLE = LEAST | {
    "queues": {"orders": {"url": "https://sqs/orders", "dlq_arn": "arn:orders-dlq"}},
    "dead_letter_queues": {"parked": "https://sqs/parked"},
    "operations": {"replay": "producer"},
    "state_machines": {"order": {"arn": "arn:order", "log_group": "/order"}},
    "faults_parameter": "/p/faults",
}


def test_all_that_a_pattern_can_have() -> None:
    assert Contract.of("p", WHOLE) == Contract(
        entry="producer",
        functions={"producer": Function("p-producer", "/p")},
        queues={"orders": Queue("https://sqs/orders", "arn:orders-dlq")},
        dead_letter_queues={"parked": "https://sqs/parked"},
        operations={"replay": "producer"},
        state_machines={"order": StateMachine("arn:order", "/order")},
        faults_parameter="/p/faults",
    )


def test_the_least_that_a_pattern_has() -> None:
    assert Contract.of("p", LEAST) == Contract(
        "producer", {"producer": Function("p-producer", "/p")}, {}, {}, {}, {}, faults_parameter=None
    )


def test_a_pattern_may_have_outputs_of_its_own() -> None:
    assert Contract.of("p", LEAST | {"consumers": {"billing": 3}}) == Contract.of("p", LEAST)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"entry": 3}, "entry: found 3, expected the function that `make send` and `make load` invoke"),
        ({"entry": "nobody"}, 'entry: found "nobody", expected a key of `functions` (producer)'),
        ({"functions": ["producer"]}, 'functions: found ["producer"], expected the functions, by short name: map('),
        (
            {"functions": {"producer": "p-producer"}},
            'functions.producer: found "p-producer", expected a Lambda function: object({ name = string, ',
        ),
        (
            {"functions": {"producer": {"name": "p-producer"}}},
            "functions.producer.log_group: found nothing, expected the name of its log group: string",
        ),
        (
            {"functions": {"producer": LEAST["functions"]["producer"] | {"arn": "arn:p"}}},
            'functions.producer.arn: found "arn:p", expected nothing of that name',
        ),
        (
            {"queues": {"orders": {"url": None, "dlq_arn": "a"}}},
            "queues.orders.url: found null, expected the queue's URL",
        ),
        ({"queues": None}, "queues: found null, expected the queues whose dead letters"),
        (
            {"dead_letter_queues": {"parked": 3}},
            "dead_letter_queues.parked: found 3, expected the other queues of what failed that `make peek` looks into",
        ),
        ({"operations": {"replay": 3}}, "operations.replay: found 3, expected what `make replay` and `make verify`"),
        (
            {"dead_letter_queues": {"orders": "https://sqs/parked"}},
            "dead_letter_queues.orders: found the name of one of `queues`, expected another",
        ),
        ({"operations": {"replay": "nobody"}}, 'operations.replay: found "nobody", expected a key of `functions`'),
        ({"state_machines": {"order": "arn"}}, 'state_machines.order: found "arn", expected a state machine'),
        ({"faults_parameter": 3}, "faults_parameter: found 3, expected the SSM parameter with the fault rules"),
    ],
)
def test_an_output_that_breaks_it_is_named_with_what_was_found_and_what_was_expected(
    more: dict[str, Any], problem: str
) -> None:
    with pytest.raises(LabError) as broken:
        Contract.of("p", WHOLE | more)

    said, *problems = str(broken.value).splitlines()
    assert said == "The outputs of the pattern p break the contract (docs/contract.md):"
    assert [line for line in problems if line.startswith(f"  {problem}")]


def test_every_problem_is_named() -> None:
    with pytest.raises(LabError) as broken:
        Contract.of("p", {"queues": []})

    assert [line.split(":")[0].strip() for line in str(broken.value).splitlines()[1:]] == [
        "entry",
        "functions",
        "queues",
    ]
