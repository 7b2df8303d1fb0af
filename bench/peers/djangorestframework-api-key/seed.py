"""python seed.py COUNT STEP: so many API keys, and every STEP-th of them into `keys`."""

import sys

from django.core.management import call_command
from django.db import connection, transaction
from service import FOLDER

# Models want the settings that `service` makes.
# isort: split
from rest_framework_api_key.models import APIKey

BATCH = 10_000


def main(count, step):
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA cache_size = -1000000")  # indexes grow everywhere at once
    sample = []
    with transaction.atomic():
        for start in range(0, count, BATCH):
            places = range(start, min(start + BATCH, count))
            rows = [APIKey(name=f"agent-{place}") for place in places]
            keys = [APIKey.objects.assign_key(row) for row in rows]
            APIKey.objects.bulk_create(rows)
            sample += [key for place, key in zip(places, keys, strict=True) if place % step == 0]
    (FOLDER / "keys").touch(0o600)
    (FOLDER / "keys").write_text("\n".join(sample), "ascii")


main(*map(int, sys.argv[1:]))
