"""python seed.py COUNT STEP: so many users, and a token of every STEP-th of them into `keys`."""

import sys

from django.core.management import call_command
from django.db import connection, transaction
from service import FOLDER

# Models want the settings that `service` makes.
# isort: split
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import AccessToken

BATCH = 10_000


def main(count, step):
    call_command("migrate", verbosity=0)
    nobody_signs_in = make_password(None)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA cache_size = -1000000")  # indexes grow everywhere at once
    sample = []
    with transaction.atomic():
        for start in range(0, count, BATCH):
            places = range(start, min(start + BATCH, count))
            users = User.objects.bulk_create(
                User(username=f"agent-{place}", password=nobody_signs_in) for place in places
            )
            sample += [user for place, user in zip(places, users, strict=True) if place % step == 0]
    (FOLDER / "keys").touch(0o600)
    tokens = (str(AccessToken.for_user(user)) for user in sample)
    (FOLDER / "keys").write_text("\n".join(tokens), "ascii")


main(*map(int, sys.argv[1:]))
