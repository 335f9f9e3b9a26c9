"""Schedule groups that do not exist, or exist already.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-group.html
"""

from typing import Any

import pytest
from harness import ROLE, Instance, unique

LATER = "at(2099-01-01T00:00:00)"


def create(localstack: Instance, group: str) -> str:
    name, target = unique("schedule"), {"Arn": "arn:aws:sqs:us-east-1:000000000000:any", "RoleArn": ROLE}
    localstack.client("scheduler").create_schedule(
        Name=name, GroupName=group, ScheduleExpression=LATER, Target=target, FlexibleTimeWindow={"Mode": "OFF"}
    )
    return name


def update(localstack: Instance, group: str) -> None:
    target = {"Arn": "arn:aws:sqs:us-east-1:000000000000:any", "RoleArn": ROLE}
    localstack.client("scheduler").update_schedule(
        Name="any", GroupName=group, ScheduleExpression=LATER, Target=target, FlexibleTimeWindow={"Mode": "OFF"}
    )


def names(localstack: Instance, **which: str) -> list[str]:
    return [one["Name"] for one in localstack.client("scheduler").list_schedules(**which)["Schedules"]]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(create, id="CreateSchedule"),
        pytest.param(update, id="UpdateSchedule"),
        pytest.param(lambda here, group: names(here, GroupName=group), id="ListSchedules"),
        pytest.param(
            lambda here, group: here.client("scheduler").get_schedule(Name="any", GroupName=group), id="GetSchedule"
        ),
        pytest.param(
            lambda here, group: here.client("scheduler").delete_schedule(Name="any", GroupName=group),
            id="DeleteSchedule",
        ),
        pytest.param(
            lambda here, group: here.client("scheduler").get_schedule_group(Name=group), id="GetScheduleGroup"
        ),
        pytest.param(
            lambda here, group: here.client("scheduler").delete_schedule_group(Name=group), id="DeleteScheduleGroup"
        ),
    ],
)
def test_a_group_that_does_not_exist(localstack: Instance, call: Any) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html: ResourceNotFoundException,
    "The request references a resource which does not exist." """
    group = unique("group")

    with pytest.raises(localstack.client("scheduler").exceptions.ResourceNotFoundException, match=group):
        call(localstack, group)


def test_a_group_and_its_schedules(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateScheduleGroup.html: ConflictException"""
    scheduler, group = localstack.client("scheduler"), unique("group")
    scheduler.create_schedule_group(Name=group)
    schedule = create(localstack, group)

    with pytest.raises(scheduler.exceptions.ConflictException, match=group):
        scheduler.create_schedule_group(Name=group)

    assert names(localstack, GroupName=group) == [schedule]
    scheduler.delete_schedule_group(Name=group)
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name=schedule, GroupName=group)


def test_the_default_group_stays(localstack: Instance) -> None:
    """ "you can't delete the default group" """
    scheduler = localstack.client("scheduler")

    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.delete_schedule_group(Name="default")
    schedule = create(localstack, "default")
    assert schedule in names(localstack, GroupName="default")
    scheduler.delete_schedule(Name=schedule)
