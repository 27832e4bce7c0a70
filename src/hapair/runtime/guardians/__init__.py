"""What watches over resyncs, beside the path of every decision."""
