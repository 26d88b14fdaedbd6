"""The core's own formats: labelled projects and tables of predictions."""
