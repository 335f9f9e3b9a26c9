"""LocalStack 4.14.0 on this machine: loopback only, Lambda functions as local processes, no Docker, Java or Node.

``python -m localstack_host`` starts it (``__main__``), in an environment that ``environment`` builds. There is a
package for each service; almost every module in one closes one gap between LocalStack and AWS, and says which in its
docstring. It is reached through one of LocalStack's entry points (pyproject.toml), most through the ``service`` of its
package, which LocalStack loads at the first use. What has no entry point is changed through ``patching``.
"""
