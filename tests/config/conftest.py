"""Chance in these tests: bounded in examples, not in time, because the machine may be busy."""

from hypothesis import HealthCheck, settings

settings.register_profile("config", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("config")
