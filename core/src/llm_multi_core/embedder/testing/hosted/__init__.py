"""A provider on the loopback interface, which can be told to fail; real SDKs talk to it.

`HostedServer` is the engine: it listens, counts, checks and fails. A `Wire` is a provider's wire
format: how its requests are read and checked, and how its replies and refusals are written.
"""
