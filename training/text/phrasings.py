# ruff: noqa: E501 - lists of phrases read better unbroken
"""More ways to ask, by topic: how people put things when they don't know the words."""


def split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split(";") if part.strip())


PHRASINGS: dict[str, tuple[str, ...]] = {
    name: split(text)
    for name, text in {
        "what_app": """
            what have i opened here; where am i; so what is the idea of this app; what's this page all about;
            is this some kind of chat bot; what is this software meant for; can you describe this app;
            what kind of program is this; what's special about this chat; what is the goal of this project;
            what does one do on this page; who is this app for; what problem does this app solve; what is the use of this site;
            how would you sum up this app; somebody sent me this link, what is it; what service is this""",
        "what_farmesh": """
            i never heard of farmesh; is farmesh a company; is farmesh a program; what kind of thing is farmesh;
            how would you explain farmesh to my mother; farmesh meaning; what is the farmesh project; is farmesh the engine;
            what's behind farmesh; what is farmesh good at; farmesh: what is it; give me a short description of farmesh;
            everybody talks about farmesh, what is it; farmesh explained; i don't know farmesh; introduce farmesh;
            what is meant when they say farmesh; can you give me an overview of farmesh; is farmesh a swarm engine""",
        "what_swarm": """
            why do they talk about a swarm; what swarm; which swarm; is a swarm a group of computers; who forms the swarm;
            describe the idea of a swarm; what kind of swarm is it; what belongs to a swarm; the swarm, what is that exactly;
            please define the word swarm; what's this swarm business; how would you define a swarm; swarm meaning;
            what should i imagine when you say swarm; what does it mean to have a swarm; i don't get what the swarm is;
            is the swarm a cluster; a swarm of what""",
        "what_node": """
            what counts as a node; what is called a node; is my laptop a node; is every computer a node; who runs the nodes;
            define what a node is; what sort of thing is a node; how would you define nodes; describe the nodes for me;
            what's the task of the nodes; node meaning; what are these nodes you mention; you said node, what is that;
            what kind of machines are nodes; the nodes, what are they; tell me what nodes do all day""",
        "what_block": """
            what is a model made of; what are the parts of the model called; blocks, what are they; block meaning;
            what are these blocks you talk about; is a block a layer; it talks about blocks, what are those; how large is a block;
            what kind of blocks; what's one block of the model; the model has blocks, meaning what; define blocks for me;
            which blocks are there; how many layers are there; what do blocks contain; what's the deal with blocks""",
        "what_hop": """
            hop meaning; what is counted as a hop; it shows 2 hops, why; what are these hops; you mention hops, explain;
            why are there two hops; define hop; the number of hops, what is it; is a hop a node; what counts as one hop;
            what is a single hop in the route; how is a hop different from a node; does fewer hops mean faster""",
        "what_route": """
            route meaning; what is the route of my chat; how does it find a route; how are routes made; who picks the route;
            how does the app find its way through the nodes; which path do my tokens take; how do tokens travel through the swarm;
            on what basis are nodes picked for a chat; in which order are the nodes visited; how does the app choose a path;
            what path does a message take; how do you decide on a route; is the fastest route used""",
        "what_span": """
            span meaning; what are the spans of the nodes; how do you write a span; what is meant by a span of blocks;
            what does the span tell me; what do you call a range of blocks; a node has a span, what is it; explain the notation 0:4;
            what do the numbers with the colon mean; how is a span written; what is 4:8""",
        "what_session": """
            session meaning; what is kept in a session; when does a session end; what's a session in farmesh; do sessions expire;
            how are sessions kept; what do you call a session; explain sessions to me; a session, what is that; does my chat have a session;
            why are there sessions; what is stored in my session; is there one session per chat; what does it mean that the session is reused""",
        "what_kv_cache": """
            kv cache meaning; what's in the cache; key value cache; key-value cache, what is it; what are keys and values here;
            what does caching keys and values bring; the nodes have a cache, what for; what do nodes remember of my chat;
            how does the cache help; define kv cache; where is the kv cache kept; what is a key value cache; does the cache make it faster;
            what gets cached; how does kv caching work; cache?; what is this cache that nodes hold; what's the role of keys and values""",
        "what_token": """
            token meaning; what counts as a token; what are these tokens; tokens, what are they; how is text cut into tokens;
            are tokens letters; is a token a letter or a word; what's the size of a token; how do words become tokens;
            define token for me; you say tokens, not words, why; how does a model see text; what does the model read, words or letters;
            how are tokens and words related; does one word make one token; is every word a token""",
        "what_bootstrap": """
            what is the first peer for; what's the bootstrap thing for; why does the swarm need a bootstrap peer; bootstrap meaning;
            what role has the bootstrap peer; explain the bootstrap peer; is the bootstrap a node; does the bootstrap peer serve blocks;
            what happens if the bootstrap peer is gone; who is the bootstrap peer;
            what does bootstrapping mean here; how does the first contact with a swarm work""",
        "what_dht": """
            dht meaning; what does the dht store; who keeps the list of nodes; is there a central server; is there a list of nodes somewhere;
            how do peers learn about each other; where does a node announce itself; how does the swarm know who is there;
            in what way do the nodes know about each other; how does one node discover another; what is the address book of the swarm;
            what's the dht for; distributed hash table?; how are new nodes noticed; how do nodes meet; what's the discovery mechanism""",
        "how_it_works": """
            how are replies computed; how does the whole system work; what happens inside when i send something; what steps does a message go through;
            can you explain how the system works; what is happening in the background; how does a message become a reply;
            how does my text get through the model; how is the work shared; how is a model spread over machines; how do several machines run one model;
            tell me how farmesh splits the model; describe the way of a message; how do tokens become an answer; explain the inner workings;
            what happens after i press enter; explain what goes on when i send a message; how does your brain work; how can pieces of a model work together;
            what's the mechanism; how does distributed inference work; explain the technique behind this; how can one model run on many machines;
            how do the computers split the work; what's under the hood; what goes on when you answer me""",
        "why_swarm": """
            what is the use of a swarm; what are swarms good for; why not run the model on one computer; what's the reason for splitting;
            why do you divide the model; what's the benefit of many nodes; why share a model between computers; is one computer not enough;
            what do people gain from a swarm; what speaks for a swarm; what is so good about splitting a model up; pros of a swarm;
            why distribute a model at all; why don't you run on one machine; why should i use a swarm; for what reason is the model split""",
        "prefill_decode": """
            what is prefilling; prefill meaning; decode meaning; what are prefill and decode; explain prefill and decode;
            how do prefill and decode differ; what is the prefill phase; what is the decode phase; why is there a prefill""",
        "ttft": """
            what is the first token time; how long until the first token; what does the time to the first token tell me; why does the first word take long;
            what is the wait before the first word called; ttft meaning; define ttft; how is ttft measured; explain ttft; what is a good ttft""",
        "status_line": """
            what do the figures under your answer say; what is the small text below the reply; what does the line with tokens per second say;
            there are numbers under the message, what are they; what does 30 tokens/s mean; explain the numbers at the bottom of the reply;
            how do i read the status line; what are the stats below; what is shown under a reply; what does the info below an answer mean;
            what's tok/s; what are those little numbers; which values are shown under each answer""",
        "context_length": """
            is there a maximum length of the chat; what's the longest chat; how much text fits; what happens if my message is very long;
            how many words can you remember; when will you forget what i said; do you forget the beginning of a long chat; how many tokens fit in a chat;
            what is the limit of your memory; how big may a chat become; is my text too long; can a chat be endless; token limit of a conversation;
            how long is your memory; what is the size of your context window; maximum conversation length""",
        "file_format": """
            which format must a checkpoint have; do you load pickle files; are gguf files ok; what kind of model files work; is safetensors needed;
            must it be safetensors; why can't i load a pt file; are .bin files allowed; can it read onnx; what's the reason for safetensors;
            why not pickle; which formats of weights can be used; my model is a .bin file; my checkpoint is a pytorch file; supported formats?;
            can i use a model saved as .pth; does the app open old pytorch files""",
        "petals": """
            do you know petals; what has petals to do with this; is farmesh a petals clone; petals compatible?; does petals work with it;
            what's the relation between petals and farmesh; who is the ancestor of farmesh; can petals nodes join; can i use petals servers;
            is there a connection to petals; how does farmesh compare with petals; are petals and farmesh the same thing; was this once petals""",
        "start_app": """
            how do i use this on my own computer; how do i bring it up; what's the command to run this; how can i try it on my pc;
            what do i need to enter to start it; how does it start; tell me the start command; which command do i need first; i want to try it at home;
            how is it installed; what are the installation steps; how do i begin; getting started?; how to set up everything; how do i get this to work;
            what is step one; i have downloaded the code, what do i do; i want it on my machine; how can i run my own copy; the repo is on my disk, how do i start;
            i checked out the code, now what do i type; how do i get everything up and running; how do i spin it up; run it how; what's needed to launch this;
            how can i make it run; how to get it working on my machine; which make target starts it; where do i click to start it; after cloning what do i do""",
        "stop_app": """
            how do i end everything; how can i switch the whole thing off; i am finished, how do i close it; what do i press to stop it;
            how do i make the program end; how to close it; how can i stop the running app; how do i kill it; what's the key to quit; i want to close everything;
            what stops the app; how do i shut everything down; how to turn it off again; how do i get out of it; it is still running, how do i stop it;
            stop everything; how to end the process; the server should stop; how can the server be stopped; which shortcut closes the app; how to quit properly""",
        "run_tests": """
            how do i know that it works; is there a test suite; command for tests; can i run tests; testing?; how are the tests run; how to test the code;
            test command; what do i type to test; i'd like to run all tests; how do developers test this; where's the test suite; execute tests""",
        "requirements": """
            what machine do i need; can i use it without nvidia; which hardware is required; is my computer good enough; is 8 gb of ram enough;
            what are the hardware needs; can a raspberry pi run it; is a video card necessary; must i have a gpu; does it require a strong computer;
            what must be installed first; what software do i need beforehand; which python is needed; what do i have to have on my computer; prerequisites?;
            will it run without a gpu; no gpu here, is that ok; i only have a cpu; does it need a powerful pc; how much disk space is needed;
            do i have to register; what does my computer need; minimum requirements; which things must i install before; what should my machine have""",
        "choose_model": """
            can i have a cleverer model; where do i select the model; how do i talk with another ai; can you be replaced by a larger model; how to swap you for another model;
            i'd like a different model; is it possible to use a different llm; where's the list of models; how do i get a model that knows more; change model;
            model selection?; how can i upgrade you; i want a model with more knowledge; can i talk with a larger model instead; which button changes the model;
            how do i load a bigger model; what larger models can i use; how can i replace the model; switch model; can i select which model answers;
            is there any other model to chat with; use something smarter than you; i need a more capable model""",
        "add_model": """
            how do i get my model into the list of models; where do i enter a new model; my own model should be in the list; how are models added to the catalogue;
            can i serve my fine-tuned model; which file do i edit to add a model; how do i register my checkpoint; new model, where to put it;
            i have trained a model, can i use it here; can i chat with my own model; where does the list of models come from; how do i extend the model list;
            can the catalogue be changed; my model is not in the list; where are models defined; can i use a model from my disk; i have a checkpoint in a folder, can i load it""",
        "add_node": """
            how do i let my second machine join; can i plug in more computers; how do i make my pc a node; i have a spare computer, can it be a node;
            how can my desktop serve blocks; can i use my old pc as a node; what must i run on the second machine; which command makes a node;
            how do i get more nodes; what's the command for serving; i'd like to offer my computer; how can i give computing power; how can i take part with my machine;
            my gaming pc could help; can i put another machine to work; there's another computer here, how do i include it; how can i bring in another pc;
            i want to run a node; start node; serve command?; how does a new node join; how do i attach a machine; i want to help with my computer;
            how do i extend the swarm; can the swarm grow; let my other machine serve blocks; how can i support the swarm; two machines here, how do i use both;
            what do i type on the other computer; command for starting a node; how can a friend add his computer""",
        "choose_blocks": """
            can i say which blocks a node takes; how do i give a node certain blocks; only the first four blocks on this node, how; how do i restrict a node to some blocks;
            how do i set the range of blocks; can a node serve just two blocks; my node should serve blocks 4 to 8; which option sets the blocks;
            can the blocks of a node be chosen; i want my node to have the last blocks; how do i pin a node to a span; how many blocks does my node take;
            is there a flag for the span; my machine can only hold 3 blocks; decide the layers of a node; force a node to take some blocks""",
        "join_swarm": """
            how do i use the swarm of my friend; i got an address of a swarm, where do i put it; can i use somebody's swarm; can i connect to a running swarm;
            how do i enter another swarm; there is a swarm at work, how do i use it; how does the app find an existing swarm; connect to other swarm;
            can this app use a swarm on the internet; how can i take part in an existing swarm; where do i type the peers; how do i set the peers;
            my colleague has a swarm running, can i use it; which option do i need to join a swarm; instead of the local swarm i want another one;
            use remote peers; how to go to another swarm; point it to a different swarm; i was given a peer address; how do i tell the app which swarm to use""",
        "own_swarm": """
            how do i get a swarm going at home; how to make a swarm out of three computers; i have four machines and want one swarm; how do i start from zero with a swarm;
            what are the steps to a swarm of my own; how do we build a swarm at our company; how do i found a swarm; what do i start first for a new swarm;
            create private swarm; new swarm; how can we have our own swarm; we want a swarm in our office; set up swarm on several computers;
            how do i connect my machines into one swarm; swarm with my own computers; how do i start the bootstrap; command for a bootstrap peer;
            how do i get a bootstrap address; i'd like to run my own swarm on a few machines; swarm setup on multiple machines""",
        "swarm_status": """
            how do i know who is online; can i see all nodes; is everything up in the swarm; how is the swarm doing; who is serving right now; which machines are in the swarm;
            show the nodes; show me which node has which blocks; where do i see the state of the swarm; status command; what does farmesh status show;
            is my node in the swarm; how can i tell if my node is visible; how many machines are in the swarm; can i check that all blocks are served;
            who is connected; how do i look at the swarm; display all nodes; find out if a node is alive; overview of the swarm; which nodes are alive""",
        "generate_cli": """
            is the browser needed; can i do without the browser; can i use it from the shell; how do i send a prompt from the terminal; text generation in a terminal;
            how do i get an answer on the command line; can it print a reply in my terminal; cli?; is there a terminal command to ask the model;
            i prefer the terminal; one prompt from the shell, how; can i script it with bash; no web page please, only terminal; ask the model from bash;
            command line usage; how to generate without the page; i want a reply in my console""",
        "deploy_space": """
            how do i get it onto hugging face; can i have it as a space; where can i host it for free online; can i make a hugging face space; hf space?;
            is a space possible; can i run this in the cloud; how to publish it; how can i put it on the web; can i deploy to the cloud; how do i run it in a space;
            i have a hugging face account, can i host it there; how does the deployment to a space work; steps for a space; push to hugging face;
            can i clone it as a space; upload as a gradio space; i want to put this on huggingface; host this on spaces; what must i do for a space""",
        "share_link": """
            can i give my friend a link; how can others open my page; i'd like to send a link to somebody; how do i make my chat public; is there a url i can give away;
            can people outside open it; how do i get a web address for others; let a friend in; can i invite someone; how do i invite others to my chat;
            can i make a public address; can my sister in another city try it; how do i show it to a friend who lives far away; gradio link; make public url;
            create a link for others; temporary link; how does sharing work; someone else wants to try my chat; how can a friend try this from home;
            can i open it to the world; i'd like a public web address; generate a link that i can send""",
        "use_api": """
            can i use it in a program; how do i talk to it from code; can i send messages from python; is there a way to call this from my app; api access;
            which endpoint is there; how do i use gradio_client; python example?; how can software use this; can a script ask you questions; how do i automate questions;
            is there an interface for programs; how can another program use the chat; programmatic access; can i build on top of this; call it from my own code;
            use it inside a notebook; how would a python script reach you; i am writing a program that should ask you things; rest api?; can i integrate it""",
        "openai_api": """
            does it understand openai requests; is it a drop in for openai; can i use the openai python package; will there be an openai api; openai endpoint;
            is v1 supported; does it offer chat completions; openai-compatible api; is the interface the same as openai's; can i point the openai sdk at it;
            do openai clients work; can i use my openai code with it; is there something like the openai api; completions endpoint?; does my openai script work with this""",
        "settings_where": """
            where can i change the options; how do i set preferences; is there a settings file; can i use environment variables; how do i pass options; which options exist;
            can settings be changed; where is default.toml; what can be configured; what is farmesh_chat_ for; are there env variables; which environment variables exist;
            where is the configuration kept; how is it configured; how do i adjust the configuration; file for settings; where do i put my settings;
            do flags override the file; how do i give it another config; list of flags; command line options?; in what file are the settings;
            how do i change the defaults; can i set things by environment; where do i find the options""",
        "change_port": """
            can i use port 8080; i need a different port; which flag sets the port; another app uses 7860; the port is not free; how do i set it to port 3000;
            it can't bind to the port; the port is already used; port conflict; my port is blocked; can it listen on port 80; how to run on port 5001;
            i would like port 8888; a program already uses this port; what if 7860 is in use; change 7860; start it at another port; port busy, what do i do""",
        "change_host": """
            can my phone open the page; how do i get to the page from my tablet; how can my roommate open the page in our wifi; access over the local network;
            how do i see it on my tv; other computers can't open the page; make it reachable in the lan; open it from my ipad; how do i bind to 0.0.0.0;
            can i visit the page from another pc; allow connections from other machines; how do devices in my home reach it; use it on the phone in my wifi;
            the page only opens on this machine; i want to open the page on a second device; my other laptop can't see the page; expose it in the local network""",
        "no_browser": """
            can i prevent the browser from popping up; it opens a browser every time; i don't want a browser window; without browser please; how to start it silently;
            i don't need the browser to open; how do i turn off the automatic browser; it keeps opening tabs; my server has no screen; no browser popup""",
        "open_page": """
            what do i type in the browser; where does the page run; what is the address; what's the url of the chat; how do i get to the chat page; where can i see the page;
            i see no page, what's the address; local url?; which web address is it; my browser shows nothing, where do i go; what's the link of the local page;
            i need the url; tell me the address of the app; where does the app listen; on which address does it run; localhost?""",
        "regenerate": """
            can you try that once more; can you give me another reply; i want a different response; how do i get a new reply; your last answer was bad, can i redo it;
            how to generate again; another attempt; can the answer be made again; is there a way to retry; let me have a second answer; redo; new answer please;
            can i reroll the reply; get a fresh answer; how do i get an alternative reply; try again; i'd like to see another answer""",
        "edit_message": """
            can i correct my question; there's a typo in what i wrote; how can i change a message that i sent; i wrote something wrong, how do i change it;
            is it possible to edit; edit my question; modify a sent message; can i rephrase my last question; change a sent message; i sent it too early, can i change it;
            how to correct what i typed; let me fix my message; where can i edit my text; i want to alter my previous message; i typed it wrong""",
        "undo": """
            how do i remove my last message; can i delete a turn; can i go back; how do i get rid of the last message; forget my last message; step back;
            how to revert; can the last turn be removed; how do i cancel my last message; make the last message disappear; is it possible to take a message back;
            roll back the chat; i want the last turn gone; how can i undo what i sent; erase the last exchange; go back to before my last question""",
        "stop_reply": """
            can i stop you while you write; how do i make you stop talking; the reply is too long, can i stop it; how do i cut you off; how do i break off an answer;
            stop writing; can i cancel an answer; how to stop the text from coming; how do i abort; it should stop generating; can a running reply be stopped;
            you keep writing, how do i stop you; which button stops a reply; is there a button to stop you; i want to stop the generation; end the reply early;
            can i interrupt while you are answering; stop in the middle; halt the answer; pause the reply""",
        "two_tabs": """
            can i have more than one chat; are two tabs the same chat; what if my friend opens the page too; how many people can chat at once; is it for one person only;
            do tabs share messages; can i run several chats; a second tab, is that a new chat; how do i start over; how do i get a fresh chat; can we both use it;
            what about several users at the same time; can my colleagues chat at the same time as me; does another user see my messages in his tab; new conversation;
            can the whole team use it; is it possible to have parallel chats; do i need one app per person""",
        "sampling": """
            what do the controls do; what are all the options on the right for; what's sampling; what can i set for the answers; explain the controls to me;
            how is the next word chosen; how do you pick words; how does the model choose a token; what are generation parameters; what are the parameters for;
            what does each slider do; what do the sampling options mean; give me an overview of the sampling settings; which parameters can i set; how are words chosen;
            which of those settings matter; help me with the sliders; there are many sliders, what are they; how do i control the randomness""",
        "temperature": """
            temperature meaning; what is meant by temperature here; why is there a temperature; how does temperature change the answers; is a high temperature better;
            which setting makes answers creative; which knob makes you more random; how can i get crazier replies; how do i get more surprising answers; more creativity please;
            how to get boring but correct answers; can you be less random; what happens when i turn up the temperature; what if i lower the temperature;
            what does the temperature slider change; temperature of what; does temperature make you creative; effect of temperature; how warm is it, i mean the setting;
            temperature 1.5?; set it hotter; how does the temp influence replies; what does it mean to have a temperature of 0.2""",
        "temperature_value": """
            which temperature is good for you; what's a sensible temperature; how high should the temperature be; best settings?; what sampling settings are best for you;
            which values work best; what temperature is recommended; ideal temperature; is 0.7 a good temperature; how low should i set the temperature;
            which sampling values should i take; what value is right for temperature; good default for temperature; what would you set the temperature to""",
        "top_p": """
            top p meaning; what is the p in top-p; what does top-p change; explain nucleus sampling; should i change top-p; what does the top p slider change;
            what value for top p; when do i use top-p; how does top-p work; top p of 1; does a low top p help; what's the effect of top-p; nucleus sampling?""",
        "top_k": """
            top k meaning; what is the k in top-k; what does top-k change; should i change top-k; what does the top k slider change; what value for top k;
            when do i use top-k; how does top-k work; top k of 0; does a low top k help; what's the effect of top-k; top-k 5; why would i set top k""",
        "min_p": """
            min p meaning; what is the min in min-p; what does min-p change; should i change min-p; what does the min p slider change; what value for min p;
            when do i use min-p; how does min-p work; min p of 0; does a higher min p help; what's the effect of min-p; minimum p""",
        "repetition_penalty": """
            why do you repeat things; how do i stop the repetition; it writes the same words again and again; what can i do against loops; which setting is against repeating;
            how can i keep you from looping; you are stuck; you keep saying the same; the model repeats the same line; what does repetition penalty change;
            penalty for repeats; what to do when it loops; it says everything twice; same words over and over; how do i get less repetition; break the loop;
            which slider stops you from repeating; what value for the repetition penalty; it won't stop repeating""",
        "seed": """
            seed meaning; what is a random seed; how do i repeat exactly the same reply; can i get an identical answer; why does it say something else each time;
            what number is the seed; what does a fixed seed do; same question but other answer, why; how do i make answers reproducible; is there randomness;
            can i have the same result again; how can i make it answer the same way every time; how do i fix the randomness; what is the purpose of the seed;
            seed 42; identical output; how to reproduce a reply; can two runs give the same text; why are the replies random""",
        "stop_strings": """
            stop string meaning; how do i let a reply end at a word; what's a stop sequence; can i define a word where you stop; how do stop strings work;
            make it end after a certain phrase; how do i tell you to stop at a new line; when it writes a given word it should end; end on a keyword;
            what do i put into stop strings; stop at the word end; is there a setting to stop at some text; which setting ends a reply at a word;
            i want the answer to stop before some word; what is a stop word here""",
        "max_new_tokens": """
            can you write longer; can you write shorter; how do i get a longer text; max tokens meaning; which setting limits the length; the answers should be shorter;
            how can i restrict the reply length; what is the maximum reply length; i want more text; allow more tokens; how many tokens can a reply have; keep it short, how;
            how do i set the length of a reply; longest reply; make replies longer; maximum number of tokens; what's the length limit; which knob sets the answer length;
            how do i cap the output; can the answers be longer""",
        "typical_p": """
            typical sampling meaning; how does typical-p work; when do i use typical p; what's the effect of typical-p; typical p of 0.9; explain typical sampling""",
        "presence_penalty": """
            how does the presence penalty work; presence penalty meaning; when do i use a presence penalty; presence vs frequency penalty; effect of the presence penalty;
            what value for the presence penalty""",
        "frequency_penalty": """
            how does the frequency penalty work; frequency penalty meaning; when do i use a frequency penalty; effect of the frequency penalty;
            what value for the frequency penalty""",
        "no_repeat_ngram": """
            how does no repeat ngram work; what are n-grams here; ngram setting; forbid repeated phrases; what's an ngram; effect of no-repeat n-gram; ngram size meaning""",
        "missing_node": """
            one block has no node; block 6 is not covered; some blocks are not served; it can't find a node for a block; no one serves the block; there is a gap in the swarm;
            why is a block uncovered; block 0 is missing; a part of the model is missing; it says the swarm lacks blocks; no servers for block 1; a block without a node, what do i do;
            blocks 2 and 3 have no node; the error says no node; uncovered block; what can i do about missing blocks; my chat says no node holds block 4;
            not all blocks are there; nodes are missing; what if nobody has a block; no node available; missing block error; the route has a hole""",
        "node_lost": """
            what if my node is switched off; a node vanished; a node disappeared while you were writing; does the reply survive a lost node; what happens to my chat when a node goes;
            the second node is dead; what if a pc in the swarm breaks; if one node fails, what then; will my reply be lost if a node stops; is it safe against crashes;
            what happens if someone turns off their computer; a machine left the swarm; my friend closed his laptop that was a node; can it survive a crash;
            is the conversation gone when a node goes away; a server left; node failure?; what if the connection to a node breaks; do you notice when a node is gone;
            it said a node left; does a dead node break the chat; one node stopped working during my chat; what becomes of my chat if a node fails""",
        "slow_reply": """
            why do i have to wait so long; the words come slowly; can this go faster; answers need a long time; your speed is bad; how can we make this quicker;
            it is sluggish; everything is slow; speed it up; what can be done about the speed; you type slowly; each word takes seconds; it lags; why the delay;
            my chat is slow today; the reply needs minutes; is there a way to get replies quicker; performance is poor; how to increase tokens per second;
            it's taking too long; waiting for the reply is boring; why does every answer need so much time; what slows it down; hurry up; a bit faster please;
            how do i get more speed; speed?; the text drips in; generation is slow""",
        "bad_reply": """
            your replies are weird; i get strange answers; you did not understand me; that was a wrong reply; your answer is silly; what you said is false; this isn't right;
            i asked something else; that answer has nothing to do with my question; why do you answer wrongly; you got it wrong; no that's wrong; you made a mistake;
            you are confused; your text is broken; that's rubbish, what you write; what kind of answer is that; bad answer; your answer was strange; why is the reply so odd;
            you didn't answer my question; this is not the answer i wanted; the output is junk; the replies look random""",
        "cut_off": """
            your text stopped halfway; the reply stops suddenly; the rest of the answer is missing; why does the text stop; it broke off; you did not finish;
            the reply was not finished; where is the rest of your answer; the answer just stops; the output ends too early; half of the answer is missing; truncated reply;
            the end of the reply is missing; it stopped mid sentence; why was the answer cut; the reply is too short, it just stops; the message got cut; incomplete answer""",
        "share_fails": """
            why is there no public link; no link was made; the gradio link fails; share gives an error; my friend can't open the link; the link can't be reached;
            i used --share but nothing comes; share link not working; public link error; it says no share link; could not get a link; why does share fail;
            the shared link is broken; the link stopped working; sharing does not work for me; share link problem""",
        "space_ports": """
            my space does not connect; the space finds no swarm; what ports may a space use; on the space it can't reach my node; hugging face blocks my port;
            the space can't see my swarm; which port must my swarm use for a space; are there port limits on spaces; the space times out when it joins;
            why does the swarm not work on my space; can a space dial any port; allowed ports on hugging face; my space has no access to the swarm""",
        "privacy": """
            who can see this chat; are my texts sent to somebody; are you listening to me; do other people see my messages; is anything stored; do you keep my messages;
            what happens with my data; is my text sent to the internet; can my boss read this; do you share my data; is this chat confidential; are chats recorded;
            do you save what i write; is there a log of my chats; where is my text processed; is it safe to write private things; can i tell you secrets;
            who reads this; is someone reading along; do my messages leave this machine; is my information safe; does anybody get my text; how is my data protected;
            does my text stay on my computer; are you sending things to a server; how private is my conversation; gdpr?""",
        "public_privacy": """
            can the owner of a node see my text; are public swarms private; what can strangers see; do the nodes see what i type; could somebody in the swarm spy on me;
            should i trust a public swarm; is my text visible to the nodes; can i write secrets in a foreign swarm; who can read my text in a public swarm;
            what does a node learn about my chat; is it risky to use a swarm of strangers; may i send passwords through a swarm; can a bad node read my messages;
            confidential data in a public swarm?; are others in the swarm able to see my prompts; how much do nodes know about my messages""",
        "offline": """
            can i use it in the train without network; is a network needed; what if i have no internet; can it run fully offline; no internet, does it still work;
            do you need the internet; does it work in a cabin without connection; airplane mode; works offline?; can i disconnect from the internet;
            do i have to be online; must i be connected; is this local; will it work when the wifi is down; can it run on a computer that has no internet;
            does the chat require a connection; without any connection?""",
        "cost": """
            do you cost money; what do i have to pay; is it really free; is there a free version; price?; who pays for this; is there a charge; do i need to buy something;
            are there hidden costs; pay per token?; is it free to use; is it expensive; must i pay for it; how expensive is it; what's the price; is it for free;
            does it cost anything; do nodes get paid; is there a premium plan""",
        "licence": """
            can i change the code; may i use it in my company; are there limits on use; is the code free; can i copy it; can i redistribute it; what are the terms of use;
            is it mit; open source?; may i use the model in my product; what license is the model under; am i allowed to use it for work; can i build a product with it;
            legal terms?; which licence applies; can i fork it; can i publish changes; rights to use""",
        "about_model": """
            what kind of model are you; how many parameters has this model; what's your size; what is your model called; what model do you use;
            are you a small model; what ai is this; tell me about the model behind this; where does your knowledge come from; what did you learn from; who developed you;
            which neural network are you; are you claude; are you gemini; is this gpt; what data did you learn from; how long were you trained; how large are you;
            number of parameters; model size; which model answers me; what's the name of this model; how did they train you; are you based on llama;
            what is your training data; how much do you know; why are you so small; what's inside you; how many megabytes are you; what model is running here""",
    }.items()
}

SMALL_TALK_PHRASINGS: dict[str, tuple[str, ...]] = {
    name: split(text)
    for name, text in {
        "greet": """
            good afternoon; good afternoon to you; hey there friend; hello my dear; hi, good morning; hello, anyone here; hello hello; is somebody there; are you here;
            hey what's going on; hi what's new; whats new; what's good; yo yo; hey buddy; hello old friend; a very good morning; hi everybody; hello sir; hi dear guide;
            good evening to you; hey, i'm here; hi, it's me again; hello, i have just arrived; hey hello; heyo; hiii; helloooo; hey ya; morning!; evening all; hi there :)""",
        "thanks": """
            thank you so much; thanks a bunch; a thousand thanks; i thank you; that's very kind, thanks; appreciated; i really appreciate that; thanks mate; cheers buddy;
            you were very helpful; you've been a great help; that helps a lot; that helped me, thanks; ok, thank you very much; great thank you; nice one, cheers; thanks man;
            good, thank you; that did it, thanks; thanks for explaining; thanks for that; thankyou; thnx; tks; super, thanks; wonderful, thank you; perfect, that helps;
            grateful for your help; good help; thanks again""",
        "bye": """
            i gotta leave; i must go now; ok i'm out; good bye; bye for today; see you soon; see ya; see ya later; talk soon; till tomorrow; good night to you; sleep well;
            so bye; ok see you; i'm going to bed; i am done, bye; that's it for now, bye; goodbye and thanks; have a good one; adios; au revoir; until tomorrow; night night;
            bye, talk to you soon; ok i'll go now; time to leave; i'll be back later; i'm heading off; over and out; peace out; i'm logging off; we'll talk later""",
        "how_are_you": """
            how are you today; how is your day; is your day good; are you doing well; how do you do; how's everything; how's it going; what's your mood; how are you feeling today;
            are you fine; you good; everything good; how goes it; how is life as a bot; how's life treating you; did you sleep well; are you in a good mood; you feeling ok;
            doing well today; hope you're doing fine; hows everything going; how was your night; are things going well for you""",
        "who_are_you": """
            who exactly are you; whom am i talking with; who do i have the pleasure of talking to; with whom do i speak; are you some kind of robot; is this a real person;
            are you a machine or a human; am i chatting with a human; could you introduce yourself; please say who you are; what's your name, bot; do they call you something;
            what do i call you; state your name; name yourself; so you are a bot; tell me your name; hello, who are you; are you real or artificial; what are you exactly;
            who answers me here; is there a person behind this; you are an ai right; may i know your name; what is this bot called; present yourself""",
        "abilities": """
            what are your features; which questions can i ask; what subjects do you know; what sort of things do you know; what kind of help can you give; how could you be useful;
            what would you recommend to ask; where are you strong; tell me what you are able to do; which things can you do for me; what else do you know; what are you able to do;
            what is possible here; give me some examples of questions; what could i ask you; i am new, what can you do; show me your skills; your skills?; what can you explain;
            what do you offer; i'd like to know what you can do; can you do anything useful; topics?; what do people ask you; what do you have to offer; for what can i use you;
            got any suggestions what to ask; list your abilities; how may you help me; in which things can you help""",
        "compliment": """
            you are so clever; that was clever; smart answer; good answer; i like your answer; great job; you are wonderful; what a clever bot; you're really smart; nice reply;
            you're good at this; you explain well; i like how you explain; well explained; clever thing; you are a good bot; super answer; you do this well; this is great;
            you're pretty good; wow that's good; awesome; so cool; you are quite smart; i really like this; perfect answer; beautiful; bravo; top; what a nice bot""",
        "insult": """
            you are so useless; useless bot; what a bad bot; this thing is bad; you're horrible; you stink; you are really dumb; how stupid are you; nobody likes you; you're garbage;
            this bot is dumb; what a waste of time; you are pathetic; you never help; i'm angry at you; you make me mad; this is so bad; such a stupid thing; you blow; you're lame;
            you fail at everything; i can't stand you; awful bot; silly bot; you moron; completely worthless; you are an awful chat; you're not helpful at all; idiot""",
        "joke": """
            do you know jokes; tell us a joke; i want a joke; can you make me laugh; please make a joke; say a joke; something funny please; i'd like to hear a joke; any jokes;
            let me hear a joke; a funny one please; are you funny; got a joke for me; tell me one of your jokes; try a joke; do something funny; i need a laugh; jokes please""",
        "ack": """
            okay then; ok thanks i see; that's good; good good; alright cool; sounds good; that's fine; fair enough; ok understood; right ok; well ok; mhm; okay i see; ok nice;
            ok i understand; gotcha; oh good; that is interesting; oh really; so that's it; is that so; okay cool; i see now; ah good; i think i understand; now i get it; ok that makes sense;
            as you say; very well; noted; ah that's how; oh that's nice; hm interesting; it makes sense now; all clear; no worries; agreed; exactly; if you say so; yup""",
    }.items()
}
