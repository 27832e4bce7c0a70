"""LVM: what lies in a volume group, and making and removing its volumes."""
