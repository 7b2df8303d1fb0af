"""A view that is open to whoever has an API key, and no other."""

import os
from pathlib import Path

from django.conf import settings

FOLDER = Path(os.environ["PEER_DATA"])

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY=(FOLDER / "secret").read_text("ascii"),
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "peer.db"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework_api_key",
    ],
    ROOT_URLCONF="urls",
)

from django.core.wsgi import get_wsgi_application  # noqa: E402 (it wants the settings)

application = get_wsgi_application()
