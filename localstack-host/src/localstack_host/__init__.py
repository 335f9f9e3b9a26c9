"""LocalStack 4.14.0 on this machine: loopback only, Lambda functions as local processes, no Docker, Java or Node.

``python -m localstack_host`` starts it (``__main__``), in an environment that ``environment`` builds. Every other
module closes one gap between LocalStack and AWS, says which in its docstring, and is reached through one of
LocalStack's entry points (pyproject.toml) or through ``services``.
"""
