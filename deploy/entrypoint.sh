#!/bin/sh
# Fetches a checkpoint first, when WEIGHTS names one (a repository of the Hugging Face hub, such as
# "Qwen/Qwen3-8B") and the folder WEIGHTS_DIR does not have it yet; then becomes the command.
set -eu

if [ -n "${WEIGHTS:-}" ]; then
    folder=${WEIGHTS_DIR:-/models/$(basename "$WEIGHTS")}
    if [ ! -e "$folder/.complete" ]; then
        echo "Downloading $WEIGHTS into $folder." >&2
        hf download "$WEIGHTS" --local-dir "$folder" --exclude "*.bin" --exclude "*.gguf" >&2
        touch "$folder/.complete" # a download that was cut off goes on at the next start
    fi
fi
exec "$@"
