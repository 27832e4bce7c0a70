"""Start and stop applications: scripts, systemd units, OCF resource agents."""
