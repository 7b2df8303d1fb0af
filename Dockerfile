# Keyturn with both of its databases' drivers. How it is run: docs/containers.md.
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv --without-pip /opt/keyturn
COPY requirements/postgres.txt ./
RUN pip --python /opt/keyturn/bin/python install --no-cache-dir --require-hashes -r postgres.txt
COPY LICENSE README.md pyproject.toml ./
COPY src ./src
RUN pip --python /opt/keyturn/bin/python install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin keyturn \
    && install --directory --owner keyturn --group keyturn --mode 0700 /var/lib/keyturn
COPY --from=build /opt/keyturn /opt/keyturn
ENV PATH=/opt/keyturn/bin:$PATH \
    KEYTURN_DATA_DIR=/var/lib/keyturn
USER 10001:10001
VOLUME /var/lib/keyturn
EXPOSE 8787
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", "\
import http.client; \
own = http.client.HTTPConnection('127.0.0.1', 8787, timeout=4); \
own.request('GET', '/healthz'); \
raise SystemExit(own.getresponse().status != 200)"]
ENTRYPOINT ["keyturn"]
CMD ["serve", "--host", "0.0.0.0"]
