"""A view that is open to whoever has a user's access token, and no other."""

import os
from datetime import timedelta
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
    ],
    ROOT_URLCONF="urls",
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication",
        ],
    },
    # By default it is five minutes, and the tokens would not outlive a run.
    SIMPLE_JWT={"ACCESS_TOKEN_LIFETIME": timedelta(days=3650)},
)

from django.core.wsgi import get_wsgi_application  # noqa: E402 (it wants the settings)

application = get_wsgi_application()
