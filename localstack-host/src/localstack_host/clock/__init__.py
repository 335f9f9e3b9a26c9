"""The clock of LocalStack, its functions and its clients, which can be a virtual one."""
