"""One function per figure: takes results, returns Axes."""
