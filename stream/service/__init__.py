"""Starts, runs and stops everything: processes, threads, queues, the self-test, the supervisor."""
