"""Starts LocalStack as ``python -m localstack_host`` does, but with LocalStack's own provider of each service.

What is left of this package is what runs LocalStack without Docker: the loopback server, functions as processes, and
the clock.
"""

from unittest.mock import patch

from localstack_host.__main__ import main

if __name__ == "__main__":
    with patch("localstack_host.environment.providers", list), patch("localstack_host.__main__.providers", list):
        main()
