"""The embedded broker: an AMQP 0-9-1 server for tests, with time as an input.

``broker`` is the core (state and rules), ``connection`` a client as bytes in and bytes out, ``tcp`` and ``inproc`` the
two ways to reach it, ``serve`` the command.
"""
