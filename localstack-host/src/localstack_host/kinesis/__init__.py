"""Kinesis Data Streams, on moto."""
