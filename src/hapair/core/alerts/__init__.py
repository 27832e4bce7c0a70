"""Who is told what and when: once for each cause, bounded, and repeated while unanswered."""
