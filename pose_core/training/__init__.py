"""Training on Lightning: prepare a configuration from data and options, fit, keep the best weights, resume
exactly."""
