"""imcsim: emulates analog and SRAM in-memory-compute chips."""
