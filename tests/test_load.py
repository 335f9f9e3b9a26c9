"""What `make load` makes of what it sees: ages, paces, and the picture."""

import xml.etree.ElementTree as xml
from collections.abc import Callable

import pytest
from moto import mock_aws
from rich.console import Console

from lab.capacity import Consumer
from lab.console import LabError
from lab.deployment import Deployment
from lab.load import Load, Sample, plot, run, state, summary
from lab.targets import Target

SVG = "{http://www.w3.org/2000/svg}"


def finished() -> Load:
    """20 messages per second for 10 s, of which 10 per second are processed, and one never."""
    load = Load(rate=20, seconds=10)
    load.sends = [(float(second), 20 * second) for second in range(1, 11)]
    for second in range(1, 22):
        sent, done = min(200, 20 * second), min(199, 10 * max(0, second - 1))
        left = sent - done - (1 if second == 21 else 0)
        in_flight = min(left, 20)
        load.samples.append(Sample(float(second), sent, left - in_flight, in_flight, dead=1 if second == 21 else 0))
    return load


class TestWhatCannotBeLoaded:
    @pytest.fixture
    def deploy(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Deployment]:
        """A deployed pattern with functions and queues of these names, of which the first function is the entry."""

        def deployed(pattern: str, functions: list[str], queues: list[str]) -> Deployment:
            outputs = {
                "entry": functions[0],
                "functions": {name: {"name": name, "log_group": name} for name in functions},
                "queues": {name: {"url": name, "dlq_arn": name} for name in queues},
            }
            monkeypatch.setattr(Deployment, "outputs", outputs)
            return Deployment.of(pattern, Target("local", "", None, "us-east-1", "test"))

        return deployed

    @pytest.mark.parametrize(
        ("pattern", "functions", "queues"),
        [
            pytest.param("s3-trigger", ["uploader", "worker"], ["work"], id="events that are no orders"),
            pytest.param("queue-buffer", ["producer", "warehouse"], [], id="no queue"),
            pytest.param("fanout", ["producer", "billing"], ["billing", "shipping"], id="several queues"),
            pytest.param("queue-buffer", ["producer", "starter", "warehouse"], ["orders"], id="several consumers"),
            pytest.param("queue-buffer", ["producer"], ["orders"], id="no consumer"),
        ],
    )
    def test_a_pattern_without_one_queue_of_orders_and_one_consumer(
        self, deploy: Callable[..., Deployment], pattern: str, functions: list[str], queues: list[str]
    ) -> None:
        with pytest.raises(LabError) as refused:
            run(deploy(pattern, functions, queues), 20, 30)

        assert str(refused.value) == (
            f"No load can be put on {pattern}: that takes a pattern whose sample event is a list of orders, with one "
            "queue, which one function consumes, such as queue-buffer."
        )

    def test_less_than_one_order(self, deploy: Callable[..., Deployment]) -> None:
        with pytest.raises(LabError, match=r"^RATE=0\.1 for DURATION=2 seconds is not one order\.$"):
            run(deploy("queue-buffer", ["producer", "warehouse"], ["orders"]), 0.1, 2)

    def test_a_queue_that_is_not_empty(self, deploy: Callable[..., Deployment]) -> None:
        with mock_aws():
            deployment = deploy("queue-buffer", ["producer", "warehouse"], ["orders"])
            sqs = deployment.target.client("sqs")
            url = sqs.create_queue(QueueName="orders")["QueueUrl"]
            queue = {"orders": {"url": url, "dlq_arn": "arn:aws:sqs:us-east-1:123456789012:orders"}}
            deployment.outputs["queues"] = queue
            for delay in (0, 60):
                sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=delay)

            with pytest.raises(LabError, match=r"^The queue holds 2 messages already\. Wait until it is empty"):
                run(deployment, 20, 30)


def until(seconds: int) -> Load:
    load = finished()
    load.samples = load.samples[:seconds]
    return load


def test_what_is_due_is_the_rate_and_ends_with_the_duration() -> None:
    load = Load(rate=2.5, seconds=10)

    assert [load.due(at) for at in (0, 0.5, 1, 10, 99)] == [0, 1, 2, 25, 25]


def test_what_is_neither_in_the_queue_nor_dead_lettered_was_processed() -> None:
    assert [sample.processed for sample in finished().samples][:3] == [0, 10, 20]
    assert finished().samples[-1].processed == 199


def test_the_oldest_message_is_the_first_that_is_not_processed() -> None:
    load = until(11)  # 100 of 200 are processed: message 101 was sent with the sixth batch

    assert load.age(load.samples[-1]) == 11 - 6
    assert finished().age(finished().samples[-1]) == 0


def test_what_is_left_drains_at_the_present_pace() -> None:
    load = until(15)

    assert load.pace() == pytest.approx(10)
    assert load.drain_seconds() == pytest.approx(60 / 10)
    assert until(1).drain_seconds() is None


def test_a_load_is_finished_when_all_is_sent_and_the_queue_is_empty() -> None:
    assert [until(seconds).finished() for seconds in (1, 10, 20, 21)] == [False, False, False, True]


def test_a_load_that_does_not_move_any_more_is_given_up() -> None:
    load = until(15)
    stuck = load.samples[-1]
    load.samples += [Sample(at, stuck.sent, stuck.waiting, stuck.in_flight, 0) for at in (100.0, 136.0)]

    assert load.finished()


def test_the_state_shows_what_an_operator_looks_at() -> None:
    assert state(until(15)) == {
        "time": "15 s",
        "sent": "200 of 200",
        "depth": "40",
        "in flight": "20",
        "processed": "140 (10/s)",
        "dead letters": "0",
        "oldest": "7 s",
        "drained in": "6 s",
    }


def test_the_summary_shows_the_prediction_beside_the_measurement() -> None:
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(summary(finished(), Consumer(batch_size=10, batch_seconds=2, concurrency=2)))

    text = captured.get()
    rows = {line.split("  ")[0].strip(): line.split()[-2:] for line in text.splitlines() if "  " in line.strip()}
    assert rows["waiting at most"] == ["90", "100"]
    assert rows["in flight at most"] == ["20", "20"]
    assert "2.00 s for a batch of 10.0 messages" in " ".join(text.split())


def test_the_plot_is_an_svg_with_one_line_per_series_and_needs_nothing_from_elsewhere() -> None:
    drawing = xml.fromstring(plot(finished()))

    lines = [path for path in drawing.iter(f"{SVG}path") if "line" in path.attrib.get("class", "").split()]
    points = [len(line.attrib["d"].split()) // 2 for line in lines if "reactive" in line.attrib["class"]]
    assert points == [21, 21, 21]
    assert {"processed", "waiting", "in flight"} <= {text.text for text in drawing.iter(f"{SVG}text")}
    assert not [name for script in drawing.iter(f"{SVG}script") for name in script.attrib if name.endswith("href")]
