# ruff: noqa: E501 - lists of phrases read better unbroken
"""Topics: for people who run the app for others, or a swarm of large models."""

from training import facts as f
from training.text.phrasings import split
from training.text.topic import Topic

RUNNING: tuple[Topic, ...] = (
    Topic(
        "gateway",
        "A gateway is another FarMesh Chat whose swarm this app uses, over HTTP: "
        f"`{f.APP} --gateway URL`. Its key goes into `{f.GATEWAY_KEY}`.",
        "The page then offers the models of the app over there and shows its nodes. It suits a "
        "Space whose nodes are at home.",
        simple="Your page asks another page's swarm to do the work.",
        why="A Space can't dial every port, but it can always reach another page over HTTPS.",
        things=("the gateway", "a gateway", "--gateway", "the gateway flag", "gateway mode"),
        plurals=("gateways",),
        actions=split("""
            use another farmesh chat as the backend; use the gateway; connect my page to another farmesh chat; borrow the swarm of another page; use somebody's app as a gateway; put a second page in front of my first one;
            let my space use the nodes at home; run only the page here and the nodes elsewhere; chat through another instance; point this app at another one; reach my swarm over https; set up a gateway; use a remote farmesh chat
        """),
        asks=split("""
            can this page use the swarm of another page; i have one farmesh chat at work, can a second one use it; is there a way to go through https instead of peers; can two instances share one swarm without opening ports; gateway?;
            my friend runs a farmesh chat, can my app use his swarm; where does the gateway key go; which key does the gateway need; what does --gateway do; can the page run here while the model runs behind another page;
            only port 443 is open, how do i get to my swarm; is there a mode in which another app does the computing; can i chain two apps; can an app be the backend of another app; my nodes are behind another farmesh chat;
            how does one page talk to the swarm of a different page; the swarm is only reachable through its web page, can i still use it; the app should forward everything to a second app; use a different installation as the engine
        """),
        links=(
            ("where do i get the key", "api_keys"),
            ("which key", "api_keys"),
            ("can i join the swarm directly instead", "join_swarm"),
        ),
    ),
    Topic(
        "link_password",
        "Visitors of a shared link need a password, which is made up at every start and printed "
        f"with the link. `{f.PASSWORD}` sets one that stays; `--no-password` asks for none.",
        "Guests with the same password are still different people: nobody sees another one's "
        "chats.",
        simple="The app prints a password beside the link; send both to your friend.",
        why="Whoever finds the link would else be in your chat page.",
        things=(
            "the password of the link",
            "the link's password",
            "--no-password",
            "the no-password flag",
            "the guest password",
        ),
        actions=split("""
            set the password of the link; choose my own password for visitors; share without a password; turn off the password of the link; find the password for the link; let people in without a password; keep the same password each time;
            protect the shared link; make the link need a password; remove the password from the link; tell my friend the password
        """),
        asks=split("""
            my friend is asked for a password, which one is it; what password do visitors need; the link wants a password; where is the password for the shared page; which password opens the link; is the shared link protected;
            can everybody who finds the link get in; where do i read the password of my link; does the public link have a password; the password changes every time, can it stay; the page asks my guest for a password;
            my colleague can't log in to the shared page; i don't want a password on the link; link password?; password for guests?; i was asked for a password, where does it come from; can strangers open my public link; do guests see each other's chats;
            is a password made for the link; why does the share link ask for a password; can i pick the password that guests type; i forgot the password of the link; what do i tell people to type when the link asks for a password
        """),
        links=(
            ("and real accounts", "sign_in"),
            ("can everybody have a login of their own", "sign_in"),
            ("how long does the link last", "share_link"),
        ),
    ),
    Topic(
        "hub_models",
        "A model on the Hugging Face hub is used by its name: write owner/model as its checkpoint "
        f"into `{f.MODELS_FILE}`, or give it to the serve command. A node fetches only its blocks.",
        "`--revision` takes a branch, a tag or a commit. For private or gated models set HF_TOKEN.",
        simple="Use the model's name on the hub instead of a folder, and it is downloaded.",
        why="Large models are too big to copy around, so every node downloads only its part.",
        things=(
            "the hugging face hub",
            "the hub",
            "the model hub",
            "hf_token",
            "--revision",
            "a hub name",
        ),
        plurals=("hub models", "models from the hub", "gated models"),
        actions=split("""
            use a model from the hub; use a model from hugging face; download a model; download qwen from hugging face; load a model by its hub name; serve a model from huggingface; get the weights of a large model; use a gated model;
            use a private model from the hub; give my hugging face token; choose a revision of a model; load a model straight from the hub; fetch llama from the hub; serve a hub model
        """),
        asks=split("""
            can it load models from hugging face; do i have to download the weights myself; can i write owner/model; does it download models by itself; can a checkpoint be a name on the hub; where do i put my hf token;
            the model is gated, what do i do; where are downloaded models kept; does every node download the whole model; can i use something like qwen/qwen3-8b; is hugging face supported as a source; huggingface models?;
            does the serve command take hub names; how does a node get its weights; which files does a node fetch from the hub; i need a token for this model, where does it go; must the model be on my disk already;
            is the entire model downloaded on each machine; hub?; can i take any repository on hugging face; private weights on the hub, possible
        """),
        links=(
            ("which kinds of model work", "families"),
            ("can i save memory", "quantize"),
            ("and where do i list it", "add_model"),
        ),
    ),
    Topic(
        "families",
        "Ten families of models can be served: Llama, Mistral, Mixtral, Qwen 2 and 3, Gemma 2 and "
        "3, Phi-3, Falcon and BLOOM.",
        "The file docs/families.md has the details. The weights must be safetensors.",
        simple="Most of the well-known open models work.",
        why="Each architecture is computed a little differently, so each has to be known.",
        plurals=(
            "the families",
            "the supported families",
            "the model families",
            "the supported architectures",
            "the architectures",
        ),
        asks=split("""
            which architectures are supported; what kinds of llm does it support; which model families work; is mixtral supported; is gemma supported; does it support phi; does falcon work; is bloom supported; which types of models can be served;
            supported architectures?; can nodes serve gemma 3; is qwen 3 supported; what model types does the engine know; do mixture of experts models work; is every model on the hub supported; does the engine know mistral;
            can it run deepseek; is gpt-2 supported; which open models are possible; what architectures does the engine implement; will a phi-3 checkpoint load; my model is a gemma, will that work; list of supported model types
        """),
        links=(("how do i get one of them", "hub_models"), ("how do i add one", "add_model")),
    ),
    Topic(
        "lora",
        "LoRA adapters are served beside the plain model: give them to the serve command with "
        f"`--adapters`. In `{f.MODELS_FILE}` a model can name the adapter that its chats use.",
        "An adapter is a folder or a name on the hub. Serving them needs the extra called lora, "
        "which brings peft.",
        simple="A LoRA is a small addition that changes how a model talks; nodes can apply it.",
        why="An adapter is tiny, so many of them can share one large model.",
        things=(
            "lora",
            "a lora",
            "a lora adapter",
            "--adapters",
            "the adapters flag",
            "an adapter",
            "peft",
        ),
        plurals=("lora adapters", "adapters", "loras", "fine-tuned adapters"),
        actions=split("""
            use a lora; use a lora adapter; load an adapter; serve an adapter; add a fine-tuned adapter; apply my lora to the model; chat with my adapter; use my own fine-tuning; serve several adapters; put a lora on a model
        """),
        asks=split("""
            does it support lora; can nodes apply adapters; i fine-tuned a lora, can i use it; are adapters possible; can two chats use different adapters; how do i pick the adapter in the chat; which flag serves adapters; lora?;
            where do i name the adapter; can i use peft adapters; does a lora work with quantised weights; my fine-tuned version is a lora, what now; is fine-tuning supported through adapters; do adapters slow down the other chats;
            can the model be adapted to my style; i trained an adapter with peft; which kinds of lora are served; can one node hold several loras; adapter support?
        """),
    ),
    Topic(
        "quantize",
        "Weights can be kept in 8 or 4 bits: add `--quantize int8` or `--quantize nf4` to the serve "
        "command. They take less memory, and the replies differ a little.",
        "int8 takes one byte per weight, nf4 about half a byte. It needs the extra called quant, "
        "which brings bitsandbytes.",
        simple="Rounded numbers need less room, so more blocks fit into one machine.",
        why="With smaller weights a node can hold more blocks.",
        things=(
            "quantization",
            "quantisation",
            "--quantize",
            "the quantize flag",
            "int8",
            "nf4",
            "4 bit mode",
            "8 bit mode",
        ),
        plurals=("quantised weights", "quantized models", "4 bit weights", "8 bit weights"),
        actions=split("""
            quantize the model; load the model in 4 bits; load the weights in 8 bit; use int8; use nf4; save memory on a node; make the model take less memory; fit a large model into a small gpu; shrink the weights; use 4bit;
            run a model that is too big for my memory; serve with quantised weights; compress the weights
        """),
        asks=split("""
            is quantization supported; can weights be stored in 4 bit; can it use bitsandbytes; my gpu has too little memory for the blocks; out of memory on the node, what helps; int8 or nf4; which quantization is there; does it do 8bit;
            do replies get worse with 4 bits; how much memory does nf4 save; the blocks don't fit into my card; my node runs out of memory; quantize?; 4 bit?; can i get more blocks onto one gpu; less memory per block, how;
            is there a low memory mode; can a node keep its weights smaller; do you support quantised checkpoints; reduce the memory that a node needs
        """),
    ),
    Topic(
        "relay",
        "A node behind a router needs only `--host 0.0.0.0`: peers with a public address relay for "
        "it. When nobody gets in directly, it takes a relay by itself.",
        "`--relay always` skips the guessing, `--relay never` forbids it. Have at least four peers "
        "with public addresses, so that a relay is found at once.",
        simple="Another peer passes the messages on to a machine that nobody can reach directly.",
        why="Most computers at home can't be called from outside.",
        things=(
            "a relay",
            "the relay",
            "relaying",
            "--relay",
            "the relay flag",
            "nat",
            "nat traversal",
        ),
        plurals=("relays",),
        actions=split("""
            run a node behind a router; run a node behind nat; serve blocks from behind a firewall; use a relay; serve from home without port forwarding; make my node reachable; turn off relaying; get through nat;
            let a node at home join a public swarm; run a node without a public address; relay traffic for others
        """),
        asks=split("""
            my node is behind a router, does that work; do i need to forward a port; i can't open ports at home; does it work through nat; my node has no public ip; can a machine behind a firewall serve; nobody can dial my node;
            what is a relayed node; how do nodes behind a router get reached; is port forwarding needed; my provider gives me no public address; does it do hole punching; who relays; relay?; nat?; my router blocks incoming connections;
            can my laptop in the dorm be a node; the other machines can't connect to my node; how many relays do i need; is there something for computers that can't be called from outside; my node sits in a private network
        """),
        links=(("and on a space", "space_ports"), ("which command was that", "add_node")),
    ),
    Topic(
        "mcp",
        "There is one MCP tool, ask: a question goes in, the whole answer comes back. Set `mcp` in "
        f"`{f.SETTINGS_FILE}`; its address is /gradio_api/mcp/ on the page's port.",
        "Install requirements-mcp.txt first. The tool remembers nothing between calls and obeys "
        "the same limits and keys as the rest.",
        simple="Other assistants can ask this chat a question as one of their tools.",
        why="Assistants that speak MCP can then use your swarm as a tool.",
        things=("mcp", "the mcp tool", "the mcp server", "the ask tool", "model context protocol"),
        plurals=("mcp tools",),
        actions=split("""
            use it over mcp; turn on mcp; connect an mcp client; let another assistant call this chat; use it as a tool; add it to my agent as a tool; enable the mcp server; call it from an agent; offer a tool to other models
        """),
        asks=split("""
            does it speak mcp; is there an mcp server; what is the mcp address; which mcp tools are there; can my agent use this; can claude desktop call this; can my coding assistant use it as a tool; mcp?; is the model context protocol supported;
            what do i enter in my mcp client; how do other assistants reach you; does the ask tool remember anything; how do i register this with my editor's agent; can an agent ask you questions; where do i switch on the tool for agents;
            can another model use you as a tool; mcp support?
        """),
    ),
    Topic(
        "metrics",
        "Numbers for Prometheus are at /metrics, health at /healthz and /readyz, the swarm's state "
        "at /mesh/status. A dashboard for Grafana is configs/grafana.json.",
        "They tell of speed, running replies, cached tokens and missing blocks. Where keys are "
        "asked for, these pages need one too.",
        simple="The app reports how it is doing in a form that monitoring programs read.",
        why="Whoever runs the app for others wants to see trouble before they do.",
        things=(
            "prometheus",
            "grafana",
            "the grafana dashboard",
            "the health check",
            "the metrics endpoint",
            "healthz",
            "readyz",
        ),
        plurals=("metrics", "the metrics", "health checks"),
        actions=split("""
            monitor the app; see metrics; scrape the metrics; connect grafana; connect prometheus; check the health of the app; get a dashboard; watch how many people chat; measure the load; set up monitoring; get an alert when it is down
        """),
        asks=split("""
            does it have metrics; is there a health endpoint; is there a dashboard; where are the prometheus metrics; what is the url of the health check; can i monitor it with grafana; how does my load balancer see that it is ready;
            is there a readiness probe; monitoring?; how many replies are running right now; how do i see the load; which endpoint tells that the app is alive; can i graph the tokens per second over time; liveness probe?;
            does it export statistics; where can operators see what is going on; how do i know that the app is up without opening the page; is there a status endpoint in json; numbers for my monitoring
        """),
        links=(("and the logs", "logs"), ("where are the logs", "logs")),
    ),
    Topic(
        "api_keys",
        f"`{f.ADD_KEY}` makes a key for a program and prints it once. Set `api_keys` in "
        f"`{f.SETTINGS_FILE}`, and programs must send a key.",
        "`--per-minute` and `--at-once` give a key limits of its own. Keys are kept as hashes, so "
        "a lost one can only be replaced.",
        simple="A key is a password for a program.",
        why="Without keys every program that reaches the port may use your swarm.",
        things=("an api key", "the api key", "add-key"),
        plurals=("api keys", "the api keys", "keys for programs", "access keys"),
        actions=split("""
            make an api key; create a key; get an api key; give a program a key; hand out keys; revoke a key; remove a key; require keys for the api; protect the api; limit what a program may do; set limits for a key; add a key for my script
        """),
        asks=split("""
            where do i get an api key; which api key do i use; do i need a key for the api; the api says unauthorized; i get a 401 from the api; how are keys stored; can i limit a key; can every program use my api; how do i hand out keys to scripts; bearer token for programs; make the api need a key; i lost my key; api key?;
            is there a key for v1; what goes into the authorization header; does the openai client need a real key; how do i stop programs from using my swarm; can keys have rate limits; where are the keys kept; bearer token?;
            my script needs to authenticate; can i take a key away again; one key per user, possible
        """),
        links=(
            ("and for people", "sign_in"),
            ("what about people", "sign_in"),
            ("what is the base url", "openai_api"),
        ),
    ),
    Topic(
        "likes",
        "Buttons to like or dislike a reply appear when `likes_file` names a file in the settings. "
        "Each choice is written there, with the message and the reply.",
        "The page says so beside the buttons. The file has one JSON object per line.",
        simple="With one setting, people can rate replies, and you find the ratings in a file.",
        why="Ratings show which replies people found good.",
        things=("the like button", "the dislike button", "feedback", "a like"),
        plurals=("likes", "likes and dislikes", "ratings", "thumbs"),
        actions=split("""
            like a reply; dislike a reply; rate an answer; give feedback on a reply; give a thumbs up; collect feedback; turn on likes; see what people liked; store ratings; vote for an answer
        """),
        asks=split("""
            is there a thumbs up; can people rate replies; where are likes stored; why are there no like buttons; what happens when i press like; who sees my likes; are ratings kept; can i mark a reply as good; thumbs down?; can i rate you;
            is feedback collected; where do i find what people disliked; is there a way to tell that a reply was good; can visitors vote on answers; feedback button?; does a like change the model
        """),
    ),
    Topic(
        "replicas",
        "Several copies of the app can stand behind one address: nginx in front, all of them in one "
        "swarm. The file docs/deploy.md shows how, and what they share.",
        "The proxy keeps a person with one copy; when it is lost, another one goes on with the "
        "chat.",
        simple="Run the app more than once and let a proxy share out the people.",
        why="One process serves some hundred people; more of them serve more.",
        plurals=("replicas", "several replicas", "app replicas"),
        things=("load balancing", "high availability", "a replica"),
        actions=split("""
            run several replicas; scale the app; run more than one copy of the app; put a load balancer in front; serve thousands of people; make the page highly available; balance the load; run two instances behind one address; scale out
        """),
        asks=split("""
            can i run two copies of the page; how many users can it take; does it scale; is there load balancing; what if one app is not enough; can many hundred people chat; what happens when a replica dies; do replicas share chats;
            how do i scale this to a whole university; is a single process enough for a big company; replicas?; does it need sticky sessions; can the web part be doubled; failover of the app?; several app servers, one swarm?;
            how many people at once per process; what do several instances have to share
        """),
        links=(("and the proxy", "proxy"), ("how do i set up the proxy", "proxy")),
    ),
    Topic(
        "proxy",
        "Behind a reverse proxy, set `allowed_hosts` to the page's name and `proxies` to the number "
        "of proxies. The file docs/operations.md has the lines for nginx.",
        "Buffering must be off there, so that replies stream. `root_path` is for a page under a "
        "path such as /chat.",
        simple="Tell the app its public name and that a proxy is in front.",
        why="The app answers only to names that it knows, so that foreign pages can't reach it.",
        things=(
            "a reverse proxy",
            "the reverse proxy",
            "nginx",
            "allowed_hosts",
            "root_path",
            "https",
        ),
        plurals=("allowed hosts", "reverse proxies"),
        actions=split("""
            run it behind nginx; put it behind a reverse proxy; use my own domain; serve it under a path; get https; use a certificate; use it behind caddy; set the allowed hosts; run it behind traefik; give the page a domain name
        """),
        asks=split("""
            does it work behind nginx; how do i get https for my page; it says that the host is not allowed; can it have a domain name; replies don't stream behind my proxy; which headers must the proxy pass; the app refuses my domain;
            can i have it at example.org/chat; is tls built in; where do i set the public name; unknown host error; my domain points to the server but the page refuses; reverse proxy?; https?; does it handle x-forwarded-for;
            how do i use a certificate with it; the page is behind cloudflare; can the page live in a subfolder of my site
        """),
    ),
    Topic(
        "logs",
        "The log goes to the terminal where the app runs; it never has the text of a chat. `level` "
        "and `format` in the settings choose how much is said, as text or as JSON.",
        "Nodes that the app starts write logs of their own into `state_dir`.",
        simple="Look into the terminal: there the app says what it does.",
        why="When something goes wrong, the log tells where.",
        things=("the log", "the log file", "logging", "the debug output", "the log level"),
        plurals=("logs", "the logs", "error messages in the log"),
        actions=split("""
            see the logs; find the log; read the log; get more debug output; change the log level; log as json; make it less chatty in the terminal; debug the app; see what the nodes log
        """),
        asks=split("""
            where are the logs; is there a log file; where do errors go; how do i see what went wrong; can it log json; is there a debug mode; does the log contain what i write; where do the nodes write their logs; log?; verbose mode?;
            it crashed, where can i look; the terminal prints too much; where is the error written; are my messages in the log; which file has the errors; i want to report a bug, where is the output
        """),
    ),
    Topic(
        "docs",
        "The documentation is in the docs folder: docs/README.md leads to settings, API, "
        "deployment, operation and architecture.",
        "Every command also explains itself with `--help`.",
        simple="Open the docs folder and begin with its README.",
        why="I only know the main things; the documents have all of it.",
        things=("the documentation", "the manual", "the docs", "the readme", "the user guide"),
        plurals=("the docs", "the documents", "the tutorials"),
        actions=split("""
            find the documentation; read the manual; learn more about the code; read the docs; find a tutorial; understand the source code; look something up; contribute to the code
        """),
        asks=split("""
            where is the documentation; is there a manual; are there docs; where can i read more; documentation?; docs?; is it documented anywhere; do you have a tutorial; where is the source explained; is there a readme;
            where do i look up the details; which document explains the parts; is there more to read; got a link to the docs; where can i find a handbook; what should i read first; i need the full reference
        """),
    ),
    Topic(
        "limits",
        "One person may send 20 messages a minute and have 2 replies running; others wait in line. "
        "`turns_per_minute` and its neighbours in the settings change that.",
        "The line has room for 64 messages, and a message may be 20,000 characters long.",
        simple="So that there is room for all, nobody may send too much at once.",
        why="One busy person could else take the swarm from everybody else.",
        things=("the rate limit", "the waiting line", "the queue", "turns_per_minute"),
        plurals=("rate limits", "the limits", "the limits per person"),
        actions=split("""
            raise the rate limit; change the limits; allow more messages per minute; limit how much people send; keep one user from taking everything; shorten the queue; turn off the rate limit; let more replies run at once
        """),
        asks=split("""
            it says too many messages; why am i in a queue; i have to wait in line; how many messages may i send; is there a rate limit; how many replies can run at once; how long may a message be; my message is too long, it says;
            it says slow down; what's the maximum length of a message; can one person block the others; the page says that i am number 3 in line; too many requests, what now; error 429; rate limit?; queue?; i was told to wait a minute
        """),
    ),
)
