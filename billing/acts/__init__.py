"""Offices of the co-op, and the log of every act done in one."""
