"""The deployed application: settings and handlers, put together. Nothing else belongs here."""

from handlers import notes, summarizers
from pointsman import Pointsman

app = Pointsman("settings", include=[notes, summarizers])
