"""``gs://bucket/prefix``: reads by the lightest way that there is, writes and lists by Google's own library."""

from pointsman.unopened import unopened

with unopened("urllib3"), unopened("urllib3.http2"):
    import urllib3.http2.probe  # noqa: F401 - all that connections ask of it; it reads what is installed, once opened
