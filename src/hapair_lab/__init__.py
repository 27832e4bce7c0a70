"""The lab: two nodes and the outside world as real Debian guests on one machine.

It is a library (``with Lab.from_snapshot("formed") as lab:``) and a command (``cllab``). It knows
hapair only as an administrator does: a package to install and commands to run.
"""
