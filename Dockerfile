# Serve an exported model (`hubel export`), without torch and as a user without rights:
#
#   docker build --tag hubel-serve .
#   docker run --read-only --tmpfs /tmp --publish 127.0.0.1:8000:8000 --volume "$PWD/model.onnx:/model.onnx:ro" hubel-serve
#
# docs/serve.md has the other options.
FROM python:3.13-slim AS build
COPY pyproject.toml README.md LICENSE /build/
COPY requirements/tested.txt /build/requirements/
COPY src /build/src
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --constraint /build/requirements/tested.txt /build

FROM python:3.13-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HUBEL_CACHE=/tmp/hubel
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["hubel", "serve"]
CMD ["/model.onnx", "--host", "0.0.0.0"]
