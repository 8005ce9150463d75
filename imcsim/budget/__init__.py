"""Budget: how much of a design's error each source makes, in closed form and in emulation, before any network."""
