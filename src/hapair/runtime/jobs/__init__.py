"""Long changes of configuration: steps with progress that are finished or taken back whole."""
