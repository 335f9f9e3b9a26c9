r"""Parameters have the sizes of their tier, match their pattern, and are read by version or label.

AWS: a value has at most 4 KB in the standard tier and 8 KB in the advanced one, out of which a parameter does not get;
Intelligent-Tiering takes the advanced one for what needs it, more than 4 KB or policies
(https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html). A value matches
its AllowedPattern, and has no ``{{}}`` in it; a name is letters, numbers and ``.-_``, or a path of at most 15 such,
from the first slash on
(https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html). GetParameters answers in
alphabetical order (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html), and a
parameter that is read by ``name:version`` or ``name:label`` has this as its Selector
(https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Parameter.html). A version has at most 10 labels;
none begins with a number, aws or ssm, whatever the case
(https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-labels.html).

LocalStack: looks neither at sizes nor at patterns; takes any name, and a path without its slash as one with it; answers
in no order, once for names that are given twice, and without Selector; takes labels that begin with AWS.

Here: the provider checks and adds what is missing, and the labels are those of a function in moto's place. The event of
an update says Update. Not as on AWS: AllowedPattern is read as Python's regular expressions, which are nearly Java's.

Evidence: documentation; the messages on tiers, nesting, paths and 10 labels as users of AWS report them. Belief that
sizes are in characters, that a pattern may match anywhere in the value, that an update without a tier or a pattern
keeps the one that there is, and that names that are given twice are refused.
"""

import re
from typing import Any

from localstack.aws.api import RequestContext, handler
from localstack.aws.api.ssm import (
    GetParameterResult,
    GetParametersResult,
    HierarchyLevelLimitExceededException,
    InvalidAllowedPatternException,
    ParameterPatternMismatchException,
    ParameterTier,
    PutParameterRequest,
    PutParameterResult,
)
from localstack.services.moto import call_moto_with_request
from localstack.services.ssm.provider import InvalidParameterNameException, SsmProvider, ValidationException
from localstack.utils.aws.arns import is_arn
from moto.ssm import exceptions
from moto.ssm.models import SimpleSystemManagerBackend, ssm_backends

from localstack_host.patching import overrides, replace, uses

uses(SsmProvider, "_normalize_name", "_denormalize_param_name_in_response")
uses(SsmProvider, "_has_secrets", "_notify_event_subscribers")
uses(SimpleSystemManagerBackend, "_parameters")

NAME = re.compile(r"[a-zA-Z0-9_.-]+")
NESTED = re.compile(r"\{\{[^{}]*\}\}")
LABEL = re.compile(r"(?!aws|ssm|\d)[a-z0-9_.-]+", re.IGNORECASE | re.ASCII)
MAXIMUM_LEVELS = 15
MAXIMUM_NAMES = 10
MAXIMUM_LABELS = 10
LONGEST_LABEL = 100
LARGEST = {ParameterTier.Standard: 4096, ParameterTier.Advanced: 8192}  # characters
MORE = "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"


def checked_name(name: str) -> str:
    """The name of a parameter, without a version or a label, as AWS takes it: without spaces around it."""
    name = name.strip(" ")
    if "/" in name and not name.startswith("/"):
        raise ValidationException("Parameter name must be a fully qualified name.")
    levels = name.removeprefix("/").split("/")
    if len(levels) > MAXIMUM_LEVELS:
        raise HierarchyLevelLimitExceededException(
            f"A parameter name can have a maximum of {MAXIMUM_LEVELS} levels, and {name} has {len(levels)}."
        )
    if not all(NAME.fullmatch(level) for level in levels):
        raise InvalidParameterNameException()
    return name


def tier_of(request: PutParameterRequest, previous: Any, default: str) -> str:
    """The tier that the parameter gets; ``previous`` is its version so far, or None. Raises ValidationException."""
    before = previous.tier if previous else None
    tier: str = request.get("Tier") or before or default
    size = len(request["Value"])
    if tier == ParameterTier.Intelligent_Tiering:
        needed = size > LARGEST[ParameterTier.Standard] or request.get("Policies") or before == ParameterTier.Advanced
        tier = ParameterTier.Advanced if needed else ParameterTier.Standard
    if tier == ParameterTier.Standard and request.get("Policies"):
        raise ValidationException("Parameter policies need the advanced tier.")
    if tier == ParameterTier.Standard and before == ParameterTier.Advanced:
        raise ValidationException(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
            f"parameter and recreate it to be a standard parameter. For more information, see {MORE}."
        )
    largest = LARGEST.get(tier)
    if largest is None:
        raise ValidationException(
            f"1 validation error detected: Value '{tier}' at 'tier' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Standard, Advanced, Intelligent-Tiering]"
        )
    if size > largest:
        raise ValidationException(
            f"{tier} tier parameters support a maximum parameter value of {largest} characters."
            + (
                " To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. "
                f"For more information, see {MORE}"
                if tier == ParameterTier.Standard
                else ""
            )
        )
    return tier


def check_pattern(pattern: str, value: str) -> None:
    try:
        matches = re.search(pattern, value)
    except re.error as error:
        raise InvalidAllowedPatternException(f"The pattern {pattern} is not a regular expression: {error}") from error
    if not matches:
        raise ParameterPatternMismatchException(
            f"Parameter value, cannot be validated against allowedPattern: {pattern}"
        )


def requested(name: str) -> str:
    """The name or ARN, perhaps with a version or a label, by which a parameter is read."""
    if is_arn(name):
        return name
    of, separator, chosen = name.strip(" ").partition(":")
    return checked_name(of) + separator + chosen


def with_selector(parameter: Any, name: str) -> Any:
    """``parameter``, and the version or label in the name or ARN that it was asked for with."""
    parts = name.split(":")
    if len(parts) == (7 if is_arn(name) else 2):
        parameter["Selector"] = f":{parts[-1]}"
    return parameter


class Parameters(SsmProvider):
    @overrides
    @handler("PutParameter", expand=False)
    def put_parameter(self, context: RequestContext, request: PutParameterRequest) -> PutParameterResult:
        name = self._normalize_name(checked_name(request["Name"]))
        if NESTED.search(request["Value"]):
            raise ValidationException('Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.')
        backend = ssm_backends[context.account_id][context.region]
        versions = backend._parameters.get(name)
        previous = versions[-1] if versions and request.get("Overwrite") else None
        tier = tier_of(request, previous, backend.default_parameter_tier)
        pattern = request.get("AllowedPattern")
        if pattern is None and previous:
            pattern = previous.allowed_pattern
        if pattern:
            check_pattern(pattern, request["Value"])
        result = call_moto_with_request(context, {**request, "Name": name, "Tier": tier})
        operation = "Update" if previous else "Create"
        self._notify_event_subscribers(context.account_id, context.region, name, operation)
        return PutParameterResult(**result)

    @overrides
    def get_parameter(
        self, context: RequestContext, name: str, with_decryption: bool | None = None, **kwargs: Any
    ) -> GetParameterResult:
        name = requested(name)
        result = super().get_parameter(context, name, with_decryption, **kwargs)
        with_selector(result["Parameter"], name)
        return result

    @overrides
    def get_parameters(
        self, context: RequestContext, names: list[str], with_decryption: bool | None = None, **kwargs: Any
    ) -> GetParametersResult:
        if len(names) > MAXIMUM_NAMES:
            raise ValidationException(
                f"1 validation error detected: Value '[{', '.join(names)}]' at 'names' failed to satisfy constraint: "
                f"Member must have length less than or equal to {MAXIMUM_NAMES}."
            )
        if len(set(names)) < len(names):
            raise ValidationException("The names of a request must not be given twice.")
        if self._has_secrets(names):
            return super().get_parameters(context, names, with_decryption, **kwargs)
        backend = ssm_backends[context.account_id][context.region]
        found, invalid = [], []
        for name in map(requested, names):
            try:
                parameter = backend.get_parameter(self._normalize_name(name))
            except exceptions.ParameterVersionNotFound:
                parameter = None
            if parameter is None:
                invalid.append(name)
                continue
            response = parameter.response_object(bool(with_decryption), context.region)
            self._denormalize_param_name_in_response(response, name)
            found.append(with_selector(response, name))
        found.sort(key=lambda parameter: str(parameter["Name"]))
        return GetParametersResult(Parameters=found, InvalidParameters=invalid)


def label_parameter_version(self: Any, name: str, version: int | None, labels: list[str]) -> tuple[list[str], int]:
    """Labels that are not valid, and the version that got the others: ``version``, or the newest."""
    versions = self._parameters.get(self._parameters.normalize_name(name))
    if not versions:
        raise exceptions.ParameterNotFound(f"Parameter {name} not found.")
    version = version or versions[-1].version
    labelled = next((one for one in versions if one.version == version), None)
    if labelled is None:
        raise exceptions.ParameterVersionNotFound(
            f"Systems Manager could not find version {version} of {name}. Verify the version and try again."
        )
    if too_long := [label for label in labels if not 0 < len(label) <= LONGEST_LABEL]:
        raise exceptions.ValidationException(
            f"1 validation error detected: Value '[{too_long[0]}]' at 'labels' failed to satisfy constraint: "
            f"Member must satisfy constraint: [Member must have length less than or equal to {LONGEST_LABEL}, "
            "Member must have length greater than or equal to 1]"
        )
    valid = [label for label in dict.fromkeys(labels) if LABEL.fullmatch(label)]
    of_version = list(dict.fromkeys([*labelled.labels, *valid]))
    if len(of_version) > MAXIMUM_LABELS:
        raise exceptions.ParameterVersionLabelLimitExceeded(
            f"A parameter version can have maximum {MAXIMUM_LABELS} labels."
            "Move one or more labels to another version and try again."
        )
    for one in versions:
        one.labels = [label for label in one.labels if label not in valid]
    labelled.labels = of_version
    return [label for label in labels if not LABEL.fullmatch(label)], version


def install() -> None:
    # patch: moto makes its backends itself, and LabelParameterVersion is decided in theirs.
    replace(SimpleSystemManagerBackend, "label_parameter_version", label_parameter_version)
