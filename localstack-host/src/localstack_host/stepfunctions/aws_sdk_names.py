"""The names of AWS SDK integrations: of services in a Task's Resource, and of their errors.

AWS: arn:aws:states:::aws-sdk:serviceName:apiAction calls any service, and an error is named ServiceName.ErrorName, both
in Pascal case, with "Exception" behind an error that does not end so
(https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html, whose table of October 2022 lists
the prefixes, as Sqs, DynamoDb, CloudWatchLogs:
https://github.com/awsdocs/aws-step-functions-developer-guide/blob/main/doc_source/supported-services-awssdk.md).
They are the names of the AWS SDK for Java 2.x, which makes them of the service's and the error's ids; an error that is
not in the service's model is named after the service (DynamoDb.DynamoDbException).

LocalStack: knows boto3's names of services, so that eventbridge, cloudwatchlogs and others fail and events and logs
work. Its prefixes are the services' ids, as in SQS.QueueDoesNotExistException, but for two services: a Catch that is
written for AWS does not catch.

Here: names are made as by the SDK for Java. A definition that names a service or an action that there is not is
refused.

Evidence: documentation; the SDK's source (CodegenNamingUtils, DefaultNamingStrategy) for how names are made; belief for
the message.
"""

import re

BOTO_NAMES = {
    "applicationdiscovery": "discovery",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "costandusagereport": "cur",
    "costexplorer": "ce",
    "databasemigration": "dms",
    "directory": "ds",
    "directoryservicedata": "ds-data",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "elasticsearch": "es",
    "eventbridge": "events",
    "iotdataplane": "iot-data",
    "iotjobsdataplane": "iot-jobs-data",
    "lexmodelbuilding": "lex-models",
    "lexmodelsv2": "lexv2-models",
    "lexruntimev2": "lexv2-runtime",
    "marketplacemetering": "meteringmarketplace",
    "migrationhub": "mgh",
    "pinpointsmsvoice": "sms-voice",
    "serverlessapplicationrepository": "serverlessrepo",
    "sfn": "stepfunctions",
    "simpledb": "sdb",
}
"""boto3's names of the services whose name is not boto3's without hyphens."""

ACRONYM_END = re.compile(r"([A-Z]+)([A-Z][a-z])")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-zA-Z0-9])")
NUMBER_END = re.compile(r"([0-9])([a-zA-Z])")
VERSIONS = (re.compile(r"([^a-z]{2,})v([0-9]+)"), r"\1 v\2 "), (re.compile(r"([^A-Z]{2,})V([0-9]+)"), r"\1 V\2 ")


def words(name: str) -> list[str]:
    """
    >>> words("IoTAnalytics"), words("SESv2"), words("SageMaker A2I Runtime")
    (['Io', 'T', 'Analytics'], ['SES', 'v2'], ['Sage', 'Maker', 'A2', 'I', 'Runtime'])
    """
    name = re.sub(r"[^A-Za-z0-9]+", " ", name)
    for version, spaced in VERSIONS:
        name = version.sub(spaced, name)
    name = ACRONYM_END.sub(r"\1 \2", " ".join(CAMEL.split(name)))
    return NUMBER_END.sub(r"\1 \2", name).split()


def pascal_case(name: str) -> str:
    """
    >>> pascal_case("DynamoDB"), pascal_case("CloudWatch Logs"), pascal_case("KMSInvalidStateException")
    ('DynamoDb', 'CloudWatchLogs', 'KmsInvalidStateException')
    """
    return "".join(word.capitalize() for word in words(name))


def prefix(service_id: str) -> str:
    """The name of a service in its errors; in lower case, in a Resource."""
    return pascal_case(re.sub(r"^(AWS|Amazon)\b|\bService$", "", service_id))


def exception(service_id: str, error: str | None) -> str:
    """The error's name: that of ``error``, the model's id of it, or that of the service's errors outside the model.

    >>> exception("SQS", "QueueDoesNotExist"), exception("DynamoDB", None), exception("ElastiCache", "CacheFault")
    ('Sqs.QueueDoesNotExistException', 'DynamoDb.DynamoDbException', 'ElastiCache.CacheException')
    """
    service = prefix(service_id)
    name = pascal_case(error) if error else service
    return f"{service}.{name.removesuffix('Exception').removesuffix('Fault')}Exception"


def boto_name(service: str, known: list[str]) -> str | None:
    """boto3's name of a service that a Resource names, of those it knows; None if there is none."""
    candidates = {name.replace("-", ""): name for name in known if name not in BOTO_NAMES.values()}
    return BOTO_NAMES.get(service) or candidates.get(service)
