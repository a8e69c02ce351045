"""Sandlot in the packages that people train and run agents with. Each needs its package; nothing is imported here."""
