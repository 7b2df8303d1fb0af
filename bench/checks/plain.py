"""The product on uvicorn's own HTTP protocol: what its ASGI application does by itself.

python -m bench.checks.plain serve …
"""

from uvicorn import Config

from keyturn.cli import main, serve
from keyturn.settings import Settings


def plain() -> None:
    """`keyturn`, its server without the product's own protocol."""
    product = serve._config

    def config(settings: Settings) -> Config:
        made = product(settings)
        made.http = "httptools"
        return made

    serve._config = config
    main()


if __name__ == "__main__":
    plain()
