"""The state of an installation as metrics: what there is, its values, and how Prometheus gets at them."""
