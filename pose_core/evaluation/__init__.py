"""From a trained run to metrics of its labelled images."""
