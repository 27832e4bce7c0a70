"""Random faults against a formed cluster while clients write: ``make soak MINUTES=n SEED=s``."""
