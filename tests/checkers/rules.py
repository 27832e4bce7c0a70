"""The checkers of the lab, which the simulator uses too: one rule, one code."""

from hapair_lab.rules import BrokenRuleError, NodeSeen, longest_gap_s, nothing_lost, one_writer

__all__ = ["BrokenRuleError", "NodeSeen", "longest_gap_s", "nothing_lost", "one_writer"]
