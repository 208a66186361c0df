"""What operators see: the catalogue of metrics, who exports them, and the dashboards made from it."""
