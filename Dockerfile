# One image for the page, for nodes and for bootstrap peers: what a container is, its command says.
# docs/deploy.md has the commands. For NVIDIA GPUs, name PyTorch's index of a CUDA version:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 -t farmesh-chat:gpu .

FROM python:3.11-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /build
COPY requirements.txt .
# torch first and by itself: from here it comes for this image's hardware, and without gigabytes of
# CUDA where there is no GPU.
RUN pip install --index-url "$TORCH_INDEX" "$(grep ^torch== requirements.txt)"
RUN pip install --prefer-binary -r requirements.txt

FROM python:3.11-slim-bookworm
RUN useradd --uid 1000 --create-home farmesh \
    && install -d -o farmesh -g farmesh /app /app/.state /models /swarm
COPY --from=build /venv /venv
WORKDIR /app
COPY app.py requirements.txt ./
COPY chat chat
COPY configs configs
COPY farmesh farmesh
COPY models models
COPY deploy/entrypoint.sh /usr/local/bin/entrypoint
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    FARMESH_CHAT_MODELS_CACHE=/app/.state/models
USER farmesh
EXPOSE 7860 31337
VOLUME ["/app/.state", "/models", "/swarm"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["entrypoint"]
CMD ["python", "app.py", "--host", "0.0.0.0", "--no-browser"]
