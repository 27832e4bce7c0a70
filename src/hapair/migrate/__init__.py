"""Drafts of clconf.xml and appconf.xml from what a machine, or another tool, has already."""
