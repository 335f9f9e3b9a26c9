"""Schedule groups exist when they are named, once, and the default group stays.

AWS: CreateSchedule, ListSchedules and DeleteScheduleGroup of a group that does not exist answer
ResourceNotFoundException, CreateScheduleGroup of one that exists ConflictException
(https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html, API_ListSchedules.html,
API_DeleteScheduleGroup.html, API_CreateScheduleGroup.html). The default group cannot be deleted
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-group.html).

LocalStack: moto answers the first with a 500, and an empty list; creating a group again empties it.

Here: the provider looks first.

Evidence: documentation; belief for the messages, but "Schedule group ... does not exist.", which is moto's.
"""

from typing import Any

from localstack.aws.api import RequestContext, handler
from localstack.aws.api.scheduler import ConflictException, ResourceNotFoundException, ValidationException
from localstack.services.moto import call_moto
from localstack.services.scheduler.provider import SchedulerProvider
from moto.scheduler.models import scheduler_backends

from localstack_host.patching import overrides

DEFAULT = "default"


def exists(context: RequestContext, group: str) -> bool:
    return group in scheduler_backends[context.account_id][context.region].schedule_groups


def require(context: RequestContext, group: str) -> None:
    if not exists(context, group):
        raise ResourceNotFoundException(f"Schedule group {group} does not exist.")


class ScheduleGroups(SchedulerProvider):
    """Handlers with expand=False take the request as one argument, unlike the methods that they override."""

    @overrides
    @handler("CreateSchedule", expand=False)
    def create_schedule(self, context: RequestContext, request: Any) -> Any:
        require(context, request.get("GroupName") or DEFAULT)
        return super().create_schedule(context, request)

    @overrides
    @handler("ListSchedules", expand=False)
    def list_schedules(self, context: RequestContext, request: Any) -> Any:
        if group := request.get("GroupName"):
            require(context, group)
        return call_moto(context)

    @overrides
    @handler("CreateScheduleGroup", expand=False)
    def create_schedule_group(self, context: RequestContext, request: Any) -> Any:
        if exists(context, request["Name"]):
            raise ConflictException(f"Schedule group {request['Name']} already exists.")
        return call_moto(context)

    @overrides
    @handler("DeleteScheduleGroup", expand=False)
    def delete_schedule_group(self, context: RequestContext, request: Any) -> Any:
        require(context, request["Name"])
        if request["Name"] == DEFAULT:
            raise ValidationException("The default schedule group cannot be deleted.")
        return super().delete_schedule_group(context, request)
