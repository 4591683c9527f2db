# One image with every program of this repository: the workers of all roles, and `sapari` for whoever operates them.
#
#   docker build -t sapari-taskiq .
#   docker run --rm sapari-taskiq sapari-worker --role render --explain

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The caches stay on the building machine and are no part of a layer, so the programs are moved out of them in the same step.
# --locked: what was tested is what is built.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked \
        -p sapari-cli -p sapari-worker -p sapari-analysis -p sapari-render -p sapari-email -p sapari-download -p sapari-proxy -p sapari-asset-edit -p sapari-scheduler \
    && mkdir /programs \
    && cp target/release/sapari target/release/sapari-worker target/release/sapari-analysis target/release/sapari-render \
        target/release/sapari-email target/release/sapari-download target/release/sapari-proxy target/release/sapari-asset-edit target/release/sapari-scheduler /programs/

# The same Debian as above: the programs are linked against its C library.
FROM debian:bookworm-slim
# ffmpeg does the work; the certificates are for amqps://, rediss://, s3:// and https:// collectors.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates ffmpeg python3 python3-pip \
    # Debian's own is too old: sites change, and yt-dlp with them.
    && pip install --break-system-packages --no-cache-dir yt-dlp \
    && rm -rf /var/lib/apt/lists/*
# A fixed number, so that a volume keeps its owner from one image to the next. Storage and scratch are all it may write to.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin sapari \
    && install -d -o sapari -g sapari /var/lib/sapari
COPY --from=build /programs/ /usr/local/bin/
COPY deploy/docker/sapari-ready /usr/local/bin/sapari-ready
USER 10001:10001
# Of this container only; docker-compose.yml opens it to the network that Prometheus is in.
ENV SAPARI_HEALTH_ADDR=127.0.0.1:9100 \
    SAPARI_STORAGE_URL=file:///var/lib/sapari \
    SAPARI_LOG_FORMAT=json
HEALTHCHECK --interval=10s --timeout=5s --start-period=40s --retries=3 CMD ["sapari-ready"]
# Names no role: whoever starts a container says which.
CMD ["sapari-worker", "--help"]
