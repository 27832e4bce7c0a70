"""What the daemon needs from the outside world.

Every action ends as an Outcome: Done, Refused (nothing changed) or Unknown (it may have
happened: look before acting again). A time-out is always Unknown.
"""
