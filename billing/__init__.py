"""Billing: tariffs, costs, ledger, closings, statements and the portal. It knows no sockets."""
