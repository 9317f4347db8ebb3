"""The operating system and the machine: atomic files, interrupts, threads, CPUs."""
