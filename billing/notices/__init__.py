"""Notices of an allocation."""
