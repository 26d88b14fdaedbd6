"""Who is who over time: asking trackers, joining tracklets, and how good tracks are. No torch."""
