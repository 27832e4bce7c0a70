"""How LVM's tools are asked for a report."""

from typing import Final

# A machine's own lvm.conf may want its reports in another form: without empty columns, for one, or
# with prefixes that make them no JSON any more.
_FORM: Final = (
    'report/time_format="%s"',
    "report/binary_values_as_numeric=0",
    "report/mark_hidden_devices=1",
    "report/compact_output=0",
    'report/compact_output_cols=""',
    "report/prefixes=0",
    'report/list_item_separator=","',
)
REPORT: Final = (
    "--reportformat", "json", "--units", "b", "--nosuffix", "--config", " ".join(_FORM),
)  # fmt: skip
