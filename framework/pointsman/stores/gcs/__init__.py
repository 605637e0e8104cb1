"""``gs://bucket/prefix``: reads by the lightest way that there is, writes and lists by Google's own library."""
