"""A metric is its namespace, its name and exactly its dimensions.

AWS: treats each unique combination of dimensions as a separate metric, even if the metrics have the same name, and
statistics are those of the combination that was published
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Dimension). Percentiles are
statistics too
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html).

LocalStack: looks for dimensions with LIKE and wildcards on both sides: the statistics of the queue ``orders`` include
those of ``orders-dlq``. It knows no percentiles. It opens its SQLite file once for every data point that is put, and
asks it once for every period of a request, over all data points that the metric's name ever had.

Here: LocalStack's database with the same tables, an index, one connection, one transaction per PutMetricData and one
query per statistic. Percentiles are the value at the nearest rank; how AWS interpolates is not documented.

Evidence: documentation.
"""

import logging
import math
import re
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from localstack.aws.api.cloudwatch import MetricData, MetricDataQuery, ScanBy
from localstack.services.cloudwatch.cloudwatch_database_helper import CloudwatchDatabase
from localstack.services.cloudwatch.provider_v2 import CloudwatchProvider

from localstack_host.patching import overrides, swap, uses

uses(
    CloudwatchDatabase,
    *("METRICS_DB", "DATABASE_LOCK", "TABLE_SINGLE_METRICS", "TABLE_AGGREGATED_METRICS"),
    *("_convert_timestamp_to_unix", "_get_ordered_dimensions_with_separator"),
)

LOG = logging.getLogger(__name__)
MAKING = threading.Lock()

PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
STATISTIC_NAMES = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
COLUMNS = "account_id, region, metric_name, namespace, timestamp, dimensions, unit, storage_resolution"

# Sum, count, minimum and maximum by period, of values and of statistic sets.
STATISTICS = """
    SELECT CAST((timestamp - :start) / :period AS INTEGER) AS slot, SUM(value), COUNT(*), MIN(value), MAX(value)
    FROM SINGLE_METRICS WHERE {where} GROUP BY slot
    UNION ALL
    SELECT CAST((timestamp - :start) / :period AS INTEGER) AS slot,
        SUM("sum"), SUM(sample_count), MIN("min"), MAX("max")
    FROM AGGREGATED_METRICS WHERE {where} GROUP BY slot
"""
VALUES = """
    SELECT CAST((timestamp - :start) / :period AS INTEGER) AS slot, value
    FROM SINGLE_METRICS WHERE {where} ORDER BY slot, value
"""
WHERE = """
    namespace = :namespace AND metric_name = :name AND dimensions IS :dimensions
    AND timestamp >= :start AND timestamp < :end AND account_id = :account AND region = :region
"""


def is_statistic(name: str) -> bool:
    """Whether the database computes it. Those that trim, or count within bounds, it does not."""
    return name in STATISTIC_NAMES or PERCENTILE.fullmatch(name) is not None


class MetricDatabase(CloudwatchDatabase):
    def __init__(self) -> None:
        super().__init__()
        # One connection for all threads, always under DATABASE_LOCK. The file ends with the process that writes it,
        # so nothing is gained by waiting for the disk.
        self.connection = sqlite3.connect(self.METRICS_DB, check_same_thread=False)
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute("PRAGMA journal_mode = MEMORY")
        for table in (self.TABLE_SINGLE_METRICS, self.TABLE_AGGREGATED_METRICS):
            self.connection.execute(
                f"CREATE INDEX IF NOT EXISTS exact_{table} ON {table} (namespace, metric_name, dimensions, timestamp)"
            )

    @overrides
    def add_metric_data(self, account_id: str, region: str, namespace: str, metric_data: MetricData) -> None:
        values: list[tuple[Any, ...]] = []
        sets: list[tuple[Any, ...]] = []
        now = int(datetime.now().timestamp())
        for datum in metric_data:
            at = self._convert_timestamp_to_unix(datum["Timestamp"]) if datum.get("Timestamp") else now
            key = (
                account_id,
                region,
                datum["MetricName"],
                namespace,
                at,
                self.dimensions(datum.get("Dimensions")),
                datum.get("Unit"),
                datum.get("StorageResolution"),
            )
            if (value := datum.get("Value")) is not None:
                values.append((*key, value))
            elif several := datum.get("Values"):
                counts = datum.get("Counts") or [1] * len(several)
                for value, count in zip(several, counts, strict=True):
                    values.extend([(*key, value)] * int(count))
            if given := datum.get("StatisticValues"):
                names = ("SampleCount", "Sum", "Minimum", "Maximum")
                sets.append((*key, *(given[name] for name in names)))
        with self.DATABASE_LOCK, self.connection:
            self.insert(self.TABLE_SINGLE_METRICS, "value", values)
            self.insert(self.TABLE_AGGREGATED_METRICS, 'sample_count, "sum", "min", "max"', sets)

    def insert(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self.connection.executemany(f"INSERT INTO {table} ({COLUMNS}, {columns}) VALUES ({marks})", rows)

    @overrides
    def get_metric_data_stat(
        self,
        account_id: str,
        region: str,
        query: MetricDataQuery,
        start_time: datetime,
        end_time: datetime,
        scan_by: str,
    ) -> dict[str, list[Any]]:
        """Timestamps (Unix, start of each period) and values, newest first unless ``scan_by`` says otherwise."""
        wanted = query["MetricStat"]
        start = self._convert_timestamp_to_unix(start_time)
        found = self.statistic(
            account_id,
            region,
            wanted["Metric"] | {"Stat": wanted["Stat"], "Period": wanted["Period"], "Unit": wanted.get("Unit")},
            start,
            self._convert_timestamp_to_unix(end_time),
        )
        slots = sorted(found, reverse=scan_by in (None, ScanBy.TimestampDescending))
        return {
            "timestamps": [start + slot * wanted["Period"] for slot in slots],
            "values": [found[slot] for slot in slots],
        }

    def statistic(self, account_id: str, region: str, metric: dict[str, Any], start: int, end: int) -> dict[int, float]:
        """The value of each period from ``start`` on that has data, by the number of the period (from 0).

        ``metric`` has Namespace, MetricName, Dimensions, Stat, Period (seconds) and, optionally, Unit. ``start``
        (inclusive) and ``end`` (exclusive) are Unix times.
        """
        where, parameters = (
            WHERE,
            {
                "account": account_id,
                "region": region,
                "namespace": metric.get("Namespace"),
                "name": metric["MetricName"],
                "dimensions": self.dimensions(metric.get("Dimensions")),
                "start": start,
                "end": end,
                "period": metric["Period"],
            },
        )
        if unit := metric.get("Unit"):
            # LocalStack's own name for data points without a unit
            where += " AND unit IS NULL" if unit == "NULL_VALUE" else " AND unit = :unit"
            parameters["unit"] = unit
        percentile = PERCENTILE.fullmatch(metric["Stat"])
        sql = (VALUES if percentile else STATISTICS).format(where=where)
        with self.DATABASE_LOCK:
            rows = self.connection.execute(sql, parameters).fetchall()
        return dict(percentiles(rows, float(percentile[1])) if percentile else merged(rows, metric["Stat"]))

    def dimensions(self, given: Sequence[Any] | None) -> str | None:
        """Dimensions as LocalStack stores them."""
        return self._get_ordered_dimensions_with_separator(list(given or []))


def merged(rows: Sequence[tuple[Any, ...]], statistic: str) -> Iterator[tuple[int, float]]:
    """One value per period, of rows (period, sum, count, minimum, maximum) of which a period may have two."""
    by_slot: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for slot, *row in rows:
        by_slot[slot].append(tuple(row))
    for slot, several in by_slot.items():
        sums, counts, minima, maxima = zip(*several, strict=True)
        total, count = sum(sums), sum(counts)
        if count:
            yield (
                slot,
                {
                    "Sum": total,
                    "Average": total / count,
                    "SampleCount": count,
                    "Minimum": min(minima),
                    "Maximum": max(maxima),
                }[statistic],
            )


def percentiles(rows: Sequence[tuple[int, float]], percent: float) -> Iterator[tuple[int, float]]:
    """The nearest rank of each period's values, which come in order."""
    by_slot: dict[int, list[float]] = defaultdict(list)
    for slot, value in rows:
        by_slot[slot].append(value)
    for slot, values in by_slot.items():
        yield slot, values[max(math.ceil(percent / 100 * len(values)) - 1, 0)]


@cache
def _database() -> MetricDatabase:
    return MetricDatabase()


def database() -> MetricDatabase:
    """The one of this process, which the thread that asks first makes.

    Without the lock a second one would find the file, and no tables in it; LocalStack then remembers that CloudWatch
    could not be loaded, and every call fails from there on.
    """
    with MAKING:
        return _database()


def publish(account_id: str, region: str, namespace: str, data: MetricData) -> None:
    """What PutMetricData does, for services of this process: a request to CloudWatch takes milliseconds more."""
    try:
        database().add_metric_data(account_id, region, namespace, data)
    except sqlite3.Error as error:  # a metric must not fail anything else
        LOG.warning("metrics of %s not published: %s", namespace, error)


class ExactMetrics(CloudwatchProvider):
    cloudwatch_database: MetricDatabase

    def __init__(self) -> None:
        super().__init__()
        swap(self, "cloudwatch_database", database())
