"""The system below: files written whole, interrupts, threads, the machine."""
