"""Topics: who may come in, languages, keys, looks, containers, and what the chat does not take."""

from training import facts as f
from training.text.topic import Topic

EXTRAS: tuple[Topic, ...] = (
    Topic(
        "sign_in",
        f"Set `sign_in` in `{f.SETTINGS_FILE}`: then people need a password or a Hugging Face "
        "account. By default everybody who reaches the page may chat.",
        "The file docs/operations.md shows how to add people. Then their chats are there on every "
        "device.",
        simple="You can put a login in front of the page with one setting.",
        why="A page that others can reach may be used by anybody, unless they have to sign in.",
        things=("signing in", "the login", "sign_in", "a login", "access control"),
        plurals=("user accounts",),
        actions=(
            "set a password",
            "add a login",
            "protect the page",
            "keep strangers out",
            "add users",
            "require a login",
            "turn on signing in",
        ),
    ),
    Topic(
        "gpu_node",
        "A node takes an NVIDIA GPU by itself when it finds one, else the CPU. `--device` of the "
        "serve command decides it by hand.",
        "`--device cuda:1` takes the second GPU, `--device cpu` none. GPUs compute in bfloat16 by "
        "default.",
        simple="If there is a GPU, the node uses it.",
        why="A GPU runs the blocks of a large model many times faster.",
        things=("--device", "the device flag", "gpu support", "cuda support"),
        actions=(
            "use my gpu",
            "run a node on the gpu",
            "use cuda",
            "choose the device",
            "use my graphics card for a node",
            "run a node without the gpu",
        ),
    ),
    Topic(
        "language",
        "I only speak English; a larger model may know your language. The page itself comes in "
        "English, German and Spanish and follows your browser.",
        "You can write to a larger model in any language that it was trained on.",
        simple="I know English only; the buttons also come in German and Spanish.",
        why="I am too small for more than one language.",
        things=("the language of the page",),
        plurals=("the languages",),
        actions=(
            "change the language",
            "switch to german",
            "use it in spanish",
            "talk to you in another language",
            "get the page in german",
        ),
    ),
    Topic(
        "keyboard",
        "Enter sends and Shift+Enter starts a new line; Esc stops a reply, and Up in an empty box "
        "edits your last message. Ctrl+/ lists all keys.",
        "Ctrl+Shift+O opens a new chat, Alt+Enter continues a reply that was cut off.",
        simple="Enter sends, Esc stops, and Ctrl+/ shows the rest.",
        why="With keys your hands can stay where you type.",
        things=("the keyboard shortcuts", "the hotkeys"),
        plurals=("the keyboard shortcuts", "the shortcuts", "the keys", "hotkeys"),
        actions=(
            "use the keyboard",
            "make a line break",
            "write several lines",
            "start a new line",
            "use shortcuts",
        ),
    ),
    Topic(
        "text_only",
        "This chat takes text only: no pictures, files, links or sound. You can paste text into "
        "the message box.",
        "A long text has to fit into the model's context, together with the chat and the reply.",
        simple="Only typed or pasted text works here.",
        why="The models of this app read and write text.",
        plurals=("attachments", "uploads"),
        actions=(
            "upload a file",
            "attach a picture",
            "send you a photo",
            "upload an image",
            "send a voice message",
            "attach a document",
            "use my microphone",
        ),
    ),
    Topic(
        "looks",
        "The button for dark or light is at the top of the page. It works on a phone as well, and "
        "your browser can install it as an app.",
        "At first the page follows your system, dark or light.",
        simple="One button at the top makes the page dark or light.",
        why="Dark is kinder to the eyes at night.",
        things=("dark mode", "the dark mode", "the theme", "light mode"),
        actions=(
            "switch to dark mode",
            "turn on dark mode",
            "change the theme",
            "use a light theme",
            "install it on my phone",
            "make the page dark",
        ),
    ),
    Topic(
        "containers",
        "The project has a Dockerfile and a compose file. The page docs/deploy.md shows how to "
        "start them, and how to run the app or a node as a service.",
        "The compose file starts a bootstrap peer, nodes and the app together.",
        simple="You can run it in containers; docs/deploy.md has the steps.",
        why="A container brings all that the app needs, so any server can run it.",
        things=("the docker image", "the dockerfile", "the compose file", "docker"),
        plurals=("containers", "docker containers"),
        actions=(
            "run it in docker",
            "use docker",
            "run it in a container",
            "run it as a service",
            "use docker compose",
            "start it at boot",
            "run it on a server all the time",
        ),
    ),
)
