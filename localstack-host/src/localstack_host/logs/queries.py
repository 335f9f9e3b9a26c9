"""StartQuery and GetQueryResults with the language of CloudWatch Logs Insights.

AWS: StartQuery checks the query (MalformedQueryException says where it is wrong) and runs it over one or more log
groups; GetQueryResults gives the rows, as text, and statistics
(https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html and
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetQueryResults.html).

LocalStack: answers from moto, whose language is described in ``insights``; GetQueryResults has no statistics, and of
an unknown query answers InternalError.

Here: the provider runs queries with ``insights``. Not as on AWS: a query is Complete when StartQuery returns, and
results are kept as long as the process runs. DescribeQueries does not list them.

Evidence: documentation.
"""

import uuid
from collections.abc import Iterator
from typing import Any

from localstack.aws.api import RequestContext, handler
from localstack.aws.api.logs import (
    GetQueryResultsResponse,
    InvalidParameterException,
    MalformedQueryException,
    ResourceNotFoundException,
    StartQueryRequest,
    StartQueryResponse,
)
from localstack.services.logs.models import get_moto_logs_backend
from localstack.services.logs.provider import LogsProvider

from localstack_host.logs.insights import DEFAULT_LIMIT, InvalidQuery, Row, event, parse
from localstack_host.patching import overrides

KEPT = 1000


class LogQueries(LogsProvider):
    def __init__(self) -> None:
        super().__init__()
        self.results: dict[str, GetQueryResultsResponse] = {}

    @overrides
    @handler("StartQuery", expand=False)
    def start_query(self, context: RequestContext, request: StartQueryRequest) -> StartQueryResponse:
        if (request.get("queryLanguage") or "CWLI") != "CWLI":
            raise InvalidParameterException("Only the query language CWLI is supported")
        try:
            query = parse(request["queryString"])
        except InvalidQuery as error:
            location = {"startCharOffset": error.at, "endCharOffset": len(request["queryString"])}
            raise MalformedQueryException(
                str(error), queryCompileError={"location": location, "message": str(error)}
            ) from error
        found = list(self.events(context, request))
        limit = query.limit or request.get("limit") or DEFAULT_LIMIT
        rows, matched = query.run(found)
        query_id = str(uuid.uuid4())
        self.results[query_id] = GetQueryResultsResponse(
            queryLanguage="CWLI",
            results=[[{"field": name, "value": value} for name, value in row.items()] for row in rows[:limit]],
            statistics={
                "recordsMatched": float(matched),
                "recordsScanned": float(len(found)),
                "bytesScanned": float(sum(len(row["@message"].encode()) for row in found)),
            },
            status="Complete",
        )
        while len(self.results) > KEPT:
            self.results.pop(next(iter(self.results)))
        return StartQueryResponse(queryId=query_id)

    @overrides
    def get_query_results(self, context: RequestContext, query_id: str, **kwargs: Any) -> GetQueryResultsResponse:
        if query_id not in self.results:
            raise ResourceNotFoundException(f"Query {query_id} does not exist")
        return self.results[query_id]

    def events(self, context: RequestContext, request: StartQueryRequest) -> Iterator[Row]:
        groups = get_moto_logs_backend(context.account_id, context.region).groups
        given = [
            *(request.get("logGroupNames") or []),
            *(request.get("logGroupIdentifiers") or []),
            *filter(None, [request.get("logGroupName")]),
        ]
        # An identifier is a name or an ARN: arn:aws:logs:<region>:<account>:log-group:<name>
        names = [
            name.split(":log-group:")[-1].removesuffix(":*") if name.startswith("arn:") else name for name in given
        ]
        if not names:
            raise InvalidParameterException("One of logGroupName, logGroupNames, logGroupIdentifiers is needed")
        start, end = request["startTime"] * 1000, request["endTime"] * 1000 + 999
        for name in names:
            if name not in groups:
                raise ResourceNotFoundException(f"The log group {name} does not exist")
            for stream in list(groups[name].streams.values()):
                for stored in list(stream.events):
                    if start <= stored.timestamp <= end:
                        yield event(
                            stored.message,
                            timestamp=stored.timestamp,
                            ingestionTime=stored.ingestion_time,
                            logStream=stream.log_stream_name,
                            log=f"{context.account_id}:{name}",
                            ptr=str(stored.event_id),
                        )
