"""What the guide says about the app's commands and settings: the only place for such facts.

Answers name commands and flags through these constants, so a test can hold them against the real
`--help`, and a renamed flag is renamed here.
"""

RUN = "make run"
TEST = "make test"
BENCH = "make bench"
MAKE_TARGETS = ("run", "test", "bench")

PORT = 7860
ADDRESS = f"http://127.0.0.1:{PORT}"

APP = "python app.py"
APP_FLAGS = (
    "--config",
    "--host",
    "--port",
    "--model",
    "--peers",
    "--gateway",
    "--share",
    "--no-password",
    "--no-browser",
)

ENGINE = "python -m farmesh"
ENGINE_FLAGS = {
    "bootstrap": ("--host",),
    "serve": ("--peers", "--blocks", "--host", "--adapters", "--quantize", "--relay", "--revision"),
    "status": ("--peers", "--checkpoint"),
    "generate": ("--peers", "--prompt"),
}
BOOTSTRAP = f"{ENGINE} bootstrap"
SERVE = f"{ENGINE} serve CHECKPOINT --peers ADDR"
STATUS = f"{ENGINE} status --peers ADDR --checkpoint CHECKPOINT"
ADD_KEY = "python -m chat.accounts add-key NAME"
GENERATE = f'{ENGINE} generate CHECKPOINT --peers ADDR --prompt "..."'

SETTINGS_FILE = "configs/default.toml"
MODELS_FILE = "configs/models.toml"
ENV_PREFIX = "FARMESH_CHAT_"
GATEWAY_KEY = f"{ENV_PREFIX}SWARM_GATEWAY_KEY"
PASSWORD = f"{ENV_PREFIX}ACCESS_PASSWORD"

API_NAME = "/chat"
API_NEW_CHAT = "/new_chat"
API_CLIENT = "gradio_client"

SPACE_PORTS = "80, 443 and 8080"
PYTHON = "Python 3.11"
LICENCE = "MIT"

BLOCKS = 8  # of the bundled model
NODES = 2  # of the embedded swarm
PARAMETERS = "about 3.4 million"
CONTEXT = "1,024"  # tokens
