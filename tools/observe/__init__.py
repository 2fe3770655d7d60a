"""Tools that look: signals, anomalies, drift, data quality, deployments, logs, runtime state, past cycles."""
