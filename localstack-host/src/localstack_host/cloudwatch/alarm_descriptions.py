"""DescribeAlarms selects by all that it is given.

AWS: by names, by a prefix of the name or of an action, by state and by type, of which metric alarms alone are the
default; by being a child or a parent of an alarm, which returns a few fields; MaxRecords of at most 100
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html).

LocalStack: takes the first of these that is given, and ignores types, children, parents and MaxRecords; ActionPrefix is
a 500.

Here: the provider selects.

Evidence: documentation; belief for the reasons of the two refusals, and that 50 alarms are returned without MaxRecords.
"""

from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.cloudwatch import DescribeAlarmsOutput
from localstack.services.cloudwatch.models import LocalStackCompositeAlarm
from localstack.services.cloudwatch.provider_v2 import ValidationException

from localstack_host.cloudwatch.alarm_history import position
from localstack_host.cloudwatch.alarm_rules import parse
from localstack_host.cloudwatch.composite_alarms import CompositeAlarms
from localstack_host.patching import overrides

ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
OF_CHILD = ("AlarmName", "AlarmArn", "StateValue", "StateUpdatedTimestamp")
OF_PARENT = ("AlarmName", "AlarmArn")
RECORDS = 50


class AlarmDescriptions(CompositeAlarms):
    @overrides
    def describe_alarms(
        self,
        context: RequestContext,
        alarm_names: list[str] | None = None,
        alarm_name_prefix: str | None = None,
        alarm_types: list[str] | None = None,
        children_of_alarm_name: str | None = None,
        parents_of_alarm_name: str | None = None,
        state_value: str | None = None,
        action_prefix: str | None = None,
        max_records: int | None = None,
        next_token: str | None = None,
        **kwargs: Any,
    ) -> DescribeAlarmsOutput:
        selections = (alarm_names, alarm_name_prefix, alarm_types, state_value, action_prefix)
        related = children_of_alarm_name or parents_of_alarm_name
        if related and (any(selections) or (children_of_alarm_name and parents_of_alarm_name)):
            raise ValidationException(
                "ChildrenOfAlarmName and ParentsOfAlarmName cannot be specified with another parameter than "
                "MaxRecords and NextToken."
            )
        if alarm_names and alarm_name_prefix:
            raise ValidationException("AlarmNames and AlarmNamePrefix cannot be specified together.")
        if children_of_alarm_name:
            found = self.children_of(context, children_of_alarm_name)
        elif parents_of_alarm_name:
            found = self.parents_of(context, parents_of_alarm_name)
        else:
            found = [
                one
                for one in list(self.get_store(context.account_id, context.region).alarms.values())
                if kind(one) in (alarm_types or ["MetricAlarm"])
                and (not alarm_names or one.alarm["AlarmName"] in alarm_names)
                and one.alarm["AlarmName"].startswith(alarm_name_prefix or "")
                and state_value in (None, one.alarm["StateValue"])
                and (not action_prefix or any(action.startswith(action_prefix) for action in actions(one)))
            ]
        first, most = position(next_token), max_records or RECORDS
        page = found[first : first + most]
        fields = OF_CHILD if children_of_alarm_name else OF_PARENT if parents_of_alarm_name else None

        def shown(type: str) -> list[Any]:
            alarms = [one.alarm for one in page if kind(one) == type]
            return [{name: one[name] for name in fields} if fields else one for one in alarms]

        more = {"NextToken": str(first + most)} if first + most < len(found) else {}
        return DescribeAlarmsOutput(MetricAlarms=shown("MetricAlarm"), CompositeAlarms=shown("CompositeAlarm"), **more)

    def children_of(self, context: RequestContext, name: str) -> list[Any]:
        composite = next((one for one in self.composites(context) if one.alarm["AlarmName"] == name), None)
        if composite is None:
            return []
        there = self.get_store(context.account_id, context.region).alarms
        children = [self.child(context, child) for child in sorted(parse(composite.alarm["AlarmRule"]).children)]
        return [there[child["AlarmArn"]] for child in children if child]

    def parents_of(self, context: RequestContext, name: str) -> list[Any]:
        return [
            composite
            for composite in self.composites(context)
            if any(
                child and child["AlarmName"] == name
                for child in (self.child(context, one) for one in parse(composite.alarm["AlarmRule"]).children)
            )
        ]


def kind(alarm: Any) -> str:
    return "CompositeAlarm" if isinstance(alarm, LocalStackCompositeAlarm) else "MetricAlarm"


def actions(alarm: Any) -> list[str]:
    return [action for name in ACTIONS for action in alarm.alarm.get(name) or []]
