"""The history of an alarm has the times of its changes.

AWS: a history item's Timestamp is that of the item. DescribeAlarmHistory filters by alarm, by type of item and by date;
without AlarmTypes "only metric alarms are returned"; it returns at most MaxRecords of 100 items and a token for the
others, in the order of ScanBy
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmHistory.html).

LocalStack: a change has the time of the change before it, without a time zone, which StartDate cannot be compared to;
HistoryItemType, AlarmTypes, ScanBy, MaxRecords and NextToken are ignored.

Here: the provider sets the time of a change, and selects. Not as on AWS: there are only items of changes of state, and
not of actions or of changes of the configuration.

Evidence: documentation; belief that the newest item is the first where ScanBy is not given.
"""

from datetime import UTC, datetime
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.cloudwatch import DescribeAlarmHistoryOutput, InvalidNextToken, ScanBy
from localstack.services.cloudwatch.provider_v2 import CloudwatchProvider

from localstack_host.patching import overrides, uses

uses(CloudwatchProvider, "_update_state")

MAXIMUM_RECORDS = 100


class AlarmHistory(CloudwatchProvider):
    @overrides
    def _update_state(self, context: RequestContext, alarm: Any, *change: Any) -> None:
        """What LocalStack calls with the store's lock held; it appends the item."""
        super()._update_state(context, alarm, *change)
        now = datetime.now(UTC)
        alarm.alarm["StateUpdatedTimestamp"] = now
        self.get_store(context.account_id, context.region).histories[-1]["Timestamp"] = now

    @overrides
    def describe_alarm_history(
        self,
        context: RequestContext,
        alarm_name: str | None = None,
        alarm_contributor_id: str | None = None,
        alarm_types: list[str] | None = None,
        history_item_type: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        max_records: int | None = None,
        next_token: str | None = None,
        scan_by: str | None = None,
        **kwargs: Any,
    ) -> DescribeAlarmHistoryOutput:
        first, most = position(next_token), max_records or MAXIMUM_RECORDS
        found = [
            item
            for item in self.get_store(context.account_id, context.region).histories
            if alarm_name in (None, item["AlarmName"])
            and item["AlarmType"] in (alarm_types or ["MetricAlarm"])
            and history_item_type in (None, item["HistoryItemType"])
            and (start_date is None or item["Timestamp"] >= start_date)
            and (end_date is None or item["Timestamp"] <= end_date)
        ]
        if scan_by != ScanBy.TimestampAscending:
            found.reverse()
        more = {"NextToken": str(first + most)} if first + most < len(found) else {}
        return DescribeAlarmHistoryOutput(AlarmHistoryItems=found[first : first + most], **more)


def position(token: str | None) -> int:
    """The number of the item that a token continues with."""
    if not (token or "0").isdecimal():
        raise InvalidNextToken("The next token specified is invalid.")
    return int(token or 0)
