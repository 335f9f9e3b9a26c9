# None: whoever looks for the dashboard knows its name.
