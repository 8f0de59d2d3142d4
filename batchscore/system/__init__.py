"""The machine underneath: files written whole, locks, disks, memory, processes, the environment."""
