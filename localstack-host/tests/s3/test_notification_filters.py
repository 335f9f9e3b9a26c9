"""Which notifications of one bucket overlap.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
"""

from typing import Any

import pytest
from harness import Instance, unique

CREATED, REMOVED = "s3:ObjectCreated:*", "s3:ObjectRemoved:*"
KINDS = {
    "QueueConfigurations": ("QueueArn", "sqs", "{}"),
    "TopicConfigurations": ("TopicArn", "sns", "{}"),
    "LambdaFunctionConfigurations": ("LambdaFunctionArn", "lambda", "function:{}"),
}


@pytest.fixture(scope="module")
def bucket(localstack: Instance) -> str:
    name = unique("bucket")
    localstack.client("s3").create_bucket(Bucket=name)
    return name


def put(localstack: Instance, bucket: str, *configurations: tuple[str, dict[str, Any]]) -> None:
    """Configurations of a kind, each for a destination that need not exist."""
    found: dict[str, list[Any]] = {}
    for place, (kind, settings) in enumerate(configurations):
        name, service, resource = KINDS[kind]
        arn = f"arn:aws:{service}:us-east-1:000000000000:{resource.format(f'any{place}')}"
        found.setdefault(kind, []).append({name: arn} | settings)
    localstack.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=found, SkipDestinationValidation=True
    )


def of(*events: str, kind: str = "QueueConfigurations", **rules: str) -> tuple[str, dict[str, Any]]:
    filters = [{"Name": name, "Value": value} for name, value in rules.items()]
    return kind, {"Events": list(events), "Filter": {"Key": {"FilterRules": filters}}}


@pytest.mark.parametrize(
    "configurations",
    [
        pytest.param([of(CREATED), of(REMOVED)], id="different events"),
        pytest.param([of(CREATED, prefix="images/"), of(CREATED, prefix="logs/")], id="different prefixes"),
        pytest.param([of(CREATED, suffix=".jpg"), of(CREATED, suffix=".png")], id="different suffixes"),
        pytest.param(
            [of(CREATED, prefix="images", suffix=".jpg"), of(CREATED, prefix="images", suffix=".png")],
            id="one prefix, different suffixes",
        ),
        pytest.param(
            [of(CREATED, prefix="images", suffix="jpg"), of(CREATED, prefix="logs", suffix="jpg")],
            id="one suffix, different prefixes",
        ),
        pytest.param(
            [of("s3:ObjectCreated:Put", prefix="a"), of("s3:ObjectCreated:Copy", prefix="a")], id="PUT and copy"
        ),
        pytest.param(
            [of(CREATED, REMOVED, prefix="a/"), of(CREATED, prefix="b/"), of(REMOVED, prefix="b/")], id="three"
        ),
    ],
)
def test_filters_that_do_not_overlap(localstack: Instance, bucket: str, configurations: list[Any]) -> None:
    """The page's "Examples of valid notification configurations with object key name filtering"."""
    put(localstack, bucket, *configurations)


@pytest.mark.parametrize(
    "configurations",
    [
        pytest.param([of(CREATED), of(CREATED)], id="no filter"),
        pytest.param([of(CREATED), of(CREATED, prefix="images/")], id="one without a filter"),
        pytest.param([of(CREATED, suffix="jpg"), of(CREATED, prefix="images/")], id="a suffix and a prefix"),
        pytest.param([of(CREATED, prefix="images"), of(CREATED, prefix="images/a")], id="a prefix of a prefix"),
        pytest.param([of(CREATED, suffix="jpg"), of(CREATED, suffix="pg")], id="a suffix of a suffix"),
        pytest.param(
            [of(CREATED, prefix="images", suffix="jpg"), of(CREATED, prefix="image", suffix="jpg")], id="both"
        ),
        pytest.param([of(CREATED, prefix="a"), of("s3:ObjectCreated:Put", prefix="a")], id="all and one event"),
        pytest.param([of(REMOVED, "s3:ObjectCreated:Put"), of(CREATED, suffix="a")], id="one of several events"),
        pytest.param([of(CREATED, Prefix="a"), of(CREATED, prefix="ab")], id="rules in any case"),
        *(
            pytest.param([of(CREATED, kind="QueueConfigurations"), of(CREATED, kind=kind)], id=f"a queue and {kind}")
            for kind in ("TopicConfigurations", "LambdaFunctionConfigurations")
        ),
    ],
)
def test_filters_that_overlap(localstack: Instance, bucket: str, configurations: list[Any]) -> None:
    """The page's "Examples of notification configurations with invalid prefix and suffix overlapping"."""
    for several in (configurations, configurations[::-1]):
        with pytest.raises(localstack.client("s3").exceptions.ClientError, match="overlapping") as refused:
            put(localstack, bucket, *several)
        assert refused.value.response["Error"]["Code"] == "InvalidArgument"


def test_a_filter_has_one_prefix(localstack: Instance, bucket: str) -> None:
    kind, settings = of(CREATED, prefix="a")
    settings["Filter"]["Key"]["FilterRules"] *= 2

    with pytest.raises(localstack.client("s3").exceptions.ClientError, match="more than one prefix rule"):
        put(localstack, bucket, (kind, settings))
