"""Files that people attach, read as text: in memory, in a process of their own, within limits."""
