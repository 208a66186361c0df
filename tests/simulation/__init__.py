"""The counting core under a seeded scheduler: real code, every fault, one thread, any seed again."""
