# ruff: noqa: E501 - lists of phrases read better unbroken
"""Still more ways to ask, by topic: longer messages, half sentences, people who explain why they ask."""

from training.text.phrasings import split

WORDINGS: dict[str, tuple[str, ...]] = {
    name: split(text)
    for name, text in {
        "what_app": """
            my colleague put this page up, what does it do; i landed here by accident, what is it; give me the short version of what this app is; what is farmesh chat for;
            introduce the app to me; what have you got here; so this is a chat, but what is special about it; what can one do with farmesh chat; describe farmesh chat in a sentence;
            is this like chatgpt; what's the story of this app; explain this website to me; what am i supposed to do here; this page, what is it; what's farmesh chat all about""",
        "what_farmesh": """
            the name farmesh comes up everywhere, please explain; what is this farmesh people mention; farmesh, never seen that word; what stands behind the name farmesh;
            could you tell me in two lines what farmesh is; what is farmesh supposed to do; what's the use of farmesh; how would an expert describe farmesh; is farmesh software;
            what's farmesh in simple terms; what on earth is farmesh; the footer says farmesh, what's that; what does the engine do; which engine runs this chat; farmesh definition""",
        "what_swarm": """
            the page speaks of a swarm, what do they mean; please tell me what is meant by the swarm; swarm definition; what would you call a swarm; describe a swarm in your words;
            i see swarm on the left side, what is it; is the swarm many computers; a swarm, is that a network; what's a swarm in this context; how big is a swarm; can you define swarm;
            what is the swarm that you run on; what is in a swarm; so a swarm is what; i have no idea what a swarm is""",
        "what_node": """
            i see two nodes on the left, what are they; nodes are what exactly; what are nodes in farmesh; the word node, please explain; what does a node contain; node definition;
            is a node a process or a machine; what is node 1; what's a node good for; could you say what a node is; what do you call a node here; a node would be what;
            what work does a node do; what is a node responsible for; there are two nodes, what do they do; what's each node there for""",
        "what_block": """
            the map shows blocks, what are they; what does block 3 mean; what is meant with the blocks of a model; eight blocks, what does that mean; block definition; what is one of the blocks;
            how many layers does a model have; into what is the model cut; into which pieces is the model split; the squares with numbers, are those blocks; a block is what;
            what does it mean that a model has blocks; why are blocks numbered; what are the numbered blocks; is block another word for layer""",
        "what_hop": """
            the line says hops, what is it; 2 hops, what does that tell me; hops are what; what is meant with hops; what does one hop stand for; hop definition; explain hops to me please;
            what is a hop in the status line; what do you call a hop; is it bad to have many hops; why are hops counted; a hop is what; what exactly is counted as hop""",
        "what_route": """
            the word route, what does it mean here; what is a route in a swarm; route definition; who decides which nodes i get; how is my path through the nodes found; a route is what;
            how does it know where to send my tokens; by which nodes does my message go; can you explain the route; what is the route of a reply; what does routing mean; how are the hops chosen;
            which computers answer me and why those; what is a good route; why these nodes and not others""",
        "what_span": """
            a node says 4:8, what is that; the span of a node is what; span definition; what do they mean by span; what does 2:6 mean; how do i read 0:8; a range like 0:4, what is it;
            what is the range of blocks of a node called; explain spans; what does the span of node 2 mean; which blocks are in 4:8; is a span a range""",
        "what_session": """
            the docs mention sessions, what is that; session definition; what is meant with a session; a session is what; how does a session work;
            what happens when a session expires; does the session end when i close the tab; is a session a chat; why does my chat have a session; what do nodes keep in a session;
            what's the session thing; how long do nodes keep my session; explain inference sessions""",
        "what_kv_cache": """
            what is stored in the kv cache; what does kv mean in kv cache; the docs talk about a kv cache, explain; kv cache definition; a kv cache is what; what use is the kv cache;
            is the kv cache on the nodes; why do you need a kv cache; what do you keep in the cache; how big does the cache get; is the cache like a memory of the chat; what is cached here;
            what happens to the kv cache when i edit; keys and values, what are these; explain what is kept in the kv cache""",
        "what_token": """
            so what exactly is one token; what do people mean when they say token; token definition; a token is what; tokens per what; is a comma a token; what is the unit of text here;
            how many letters has a token; are tokens syllables; why not letters instead of tokens; how do you count tokens; what does a token look like; how many tokens are in a sentence;
            is each letter a token; what is the difference between tokens and words""",
        "what_bootstrap": """
            bootstrap peer definition; what does a bootstrap peer do all day; the bootstrap peer is what; what is the use of a bootstrap peer; which peer do others join through;
            how does a newcomer find the swarm; what is the entry point of a swarm; is one bootstrap peer enough; does a swarm need a bootstrap peer; do i need the bootstrap peer later on;
            explain bootstrapping; what's the first address for""",
        "what_dht": """
            explain dht; the term dht, what does it mean; dht definition; dht is what; distributed hash table meaning; what's in the dht; what role does the dht play;
            where does the app look up nodes; is there a registry of nodes; how do you know who serves which block; how does a client learn which nodes are there; is the list of nodes central;
            who tells the app about the nodes; where is it written down who serves what; what do you need the hash table for""",
        "how_it_works": """
            walk me through how a reply is made; give me an overview of how it works; how does this chat actually produce text; what is going on inside; how do you come up with a reply;
            how does my question travel; step by step, how does it work; from my message to your answer, what happens; how do the nodes and the app work together; how can it run on several machines;
            what does the app do with my message; how does text generation work here; what is the trick behind it; how does one model live on several computers;
            what do the nodes do with my message; i want to understand how this works; technical explanation please""",
        "why_swarm": """
            what would i use a swarm for; is there any advantage in using many machines; what does a swarm bring me; why should a model be split up; what's the sense of a swarm;
            wouldn't one machine be simpler; why several nodes and not one; what speaks for many computers; when is a swarm useful; why is a swarm better; what is won by splitting;
            what makes a swarm worth it; why do you use two nodes; can't one computer do it all; advantages of a swarm""",
        "prefill_decode": """
            what is the difference between prefill and decode; prefill is what; what is decoding; the page says prefill, what's that; which one is prefill and which is decode;
            what does decode do; prefill definition; what happens in decode; explain decoding""",
        "ttft": """
            the first number under the reply, time to first token, what is it; what is meant with time to first token; ttft is what; the wait for the first token, what's its name;
            how do i read the time to the first token; why do you show the time to the first token; what does 0.3 s to the first token mean""",
        "status_line": """
            what does the small line below your reply tell me; it says tokens per second and hops, explain; what do the statistics under a reply mean; what is the row of numbers under your reply;
            what does remembered mean; 120 of 140 remembered, what is that; explain the figures under your replies; the grey text under the answer; what is that line of figures;
            how do i read the figures under the reply; what is written below the messages""",
        "context_length": """
            how much text can a chat hold; is my chat limited in length; what when the chat is full; do long chats get cut; how many tokens does your memory hold; context length?; context size?;
            how long can we talk; will you remember everything in a long chat; how much of the conversation do you see; is there a maximum number of tokens; chat too long, what now;
            how many messages can you keep in mind; what is your token limit; when is the context full""",
        "file_format": """
            what type of checkpoint do you need; must my model be in a certain format; in which format do you want the weights; which weights format is supported; do you take ggml;
            are safetensors files required; can it load pickled weights; why only safetensors; i have weights in a .pt file; can i use .bin weights; what about onnx models;
            is there a reason for using safetensors; what files does a node load; my weights are in pytorch format""",
        "petals": """
            how is this related to petals; i used petals before, is this similar; what does this have in common with petals; is it the same as petals; do you support petals swarms;
            will my petals node work; what did farmesh take from petals; did this start as petals; petals and farmesh, how do they differ; can i connect to petals; what is petals then""",
        "start_app": """
            i have cloned it, how do i start; the repository is cloned, what's the next command; how to get going; what is needed to get it running; how do i run farmesh chat;
            what do i type to run it; tell me the command to run the app; give me the run command; how is this launched; i just want to try it, what do i type; run command?;
            which command brings everything up; how do i start the whole thing; how do i install and run this; what's the quickest way to run it; starting the app, how;
            how do i make it start; i'd like to run it on my laptop; where do i start; how do i boot this; how do i get farmesh running; one command to start it all?""",
        "stop_app": """
            what's the right way to stop it; how is everything shut down; i want it to stop running; how can i get rid of the running app; how do i end farmesh; what ends the app; how do i cancel the app;
            the app should end now; how do i turn everything off; i'm finished for today, how do i stop the app; how do i stop all processes; closing it, how; how do i leave the app;
            which keys do i press to end it; is ctrl c the way to stop; how do i bring it down; how can i exit this; stop command?; do the nodes stop too when i quit""",
        "run_tests": """
            how do i check my installation with the tests; how can i run the test suite; tests, how do i run them; which command runs the tests; is there something to test the code with;
            i changed the code, how do i test it; how do i make sure nothing is broken; run all the tests; unit tests?; where do i find tests; are there any automatic tests""",
        "requirements": """
            can i use it with a weak laptop; which computer do you recommend; is a normal pc enough; can it run on an old machine; no graphics card, does it still run; which os do i need;
            does it run on linux; does it work on windows; does it run on a mac; do i need python; how new must python be; what has to be there before i start; needs gpu?; gpu needed?;
            what are the system needs; how strong must my computer be; what are the minimum specs; specs?; do i need nvidia; must i create an account; is a login needed; how much ram?;
            will it run on my hardware; can i run it without cuda""",
        "choose_model": """
            i'd rather talk to a bigger model; you know too little, who else is there; how can i have another model answer; what do i do to get a larger model; where do i say which model to use;
            which flag chooses the model; how do i start it with another model; another model please; is there a way to get a better model; what else can i run besides you;
            can i exchange the model; which models could i use instead; can you be swapped for something bigger; bigger model?; how do i use llama with it; can i run qwen with this;
            which model names are there; model choice, how; how do i tell it to use a different model; i need answers about everything, which model""",
        "add_model": """
            how can i make my own model available; i trained something, how do i add it; how does a new model get into the catalogue; adding a model, how; where do i put my checkpoint;
            how do i define a model; can i use a checkpoint from my disk; how do i tell the app about my model; how to serve a model that is not listed; what do i edit to add a model;
            how do i use a checkpoint of my own; can the list of models be extended; i want to include another model; is it possible to add models; put my model into the catalogue""",
        "add_node": """
            how do i start another node; i have a second pc, how can it help; what do i run on the other machine; how can more machines join; i want more nodes; how do i put a node on my server;
            how do i get my laptop to serve blocks; how can i extend my swarm by a machine; how do i bring a third machine in; can i give some of my gpu; what's the serve command;
            can more computers help; how do i make the swarm larger; a new node, how; how would i contribute my pc; how to run a serving node; how do i launch a node;
            how can my friend's computer join; how do i use all my computers; adding nodes, how does it go; more power for the swarm, how; how do i hook up a new machine""",
        "choose_blocks": """
            i want to decide which blocks my node holds; how do i tell serve which blocks; can i limit a node to some layers; my node takes too many blocks; how do i set which layers are served;
            the node should take 0 to 3 only; what do i pass to serve for the blocks; how do i pick the layers of a node; can i choose the span of my node; blocks flag?; choose the layers;
            how do i give node 2 the blocks 4 to 7; set the blocks by hand""",
        "join_swarm": """
            how do i attach the app to a swarm that runs already; how can i chat over somebody's swarm; somebody gave me the address of a swarm; how do i use peers of a friend;
            how does the app join a swarm; which flag takes the swarm's address; what do i do with a bootstrap address; how do i switch to another swarm; join a swarm, how;
            can i chat with the swarm of my company; there is a swarm running elsewhere, how do i use it; how do i connect the app to remote nodes; i want to use a swarm, not my own nodes;
            how do i hand over peer addresses; how do i become part of a swarm; use the swarm at this address""",
        "own_swarm": """
            how do i create a new swarm; how is a swarm set up; i'd like to have my own swarm; how do i put up a swarm with three pcs; what is the first step to a new swarm; how to found a swarm;
            how do i run a swarm across my machines; how do i start a swarm from scratch; a private swarm, how do i build it; can we run a swarm at school; how do i begin a swarm;
            how do i spread a model over my machines; how do i set up bootstrap and nodes; swarm of my own, how; new private swarm please; how can i run several machines as one swarm""",
        "swarm_status": """
            how do i see which blocks are served; who serves block 3; how do i find out who is in the swarm; can i get a list of the nodes; a list of all nodes please; how do i check on the nodes;
            is there an overview of nodes and blocks; how can i look at the nodes; which command lists the nodes; are there any gaps in the swarm; how healthy is the swarm; status of the nodes?;
            how do i see what each node serves; show status; where can i see the nodes; which blocks does each node have; is everybody there""",
        "generate_cli": """
            how do i ask something from the command line; can i skip the page and use a shell; is there a way without a web page; one reply in the terminal, how; how do i use the generate command;
            i only have a terminal; can i get text without opening the page; is there a console version; how do i run a single prompt; can i call it from a shell script;
            generate on the command line; i don't want a browser; chat in the terminal""",
        "deploy_space": """
            i want it on hugging face; how do i move this to a space; how do i make it run on hugging face; can hugging face run this; can i set this up on spaces; getting it onto a space, how;
            how do i host the app on hugging face; putting it into a space; what do i do to have it on hf; is there a way to host it on spaces; does hugging face host it; hugging face?;
            can this be run as a gradio space; can it run in a space for free; deploy?; how is it deployed; how to get this online as a space""",
        "share_link": """
            how do i let others in; how do i get a link that others can open; how can somebody else open my chat; a link for my friend, how; how do i make the page public;
            others should see this, how do i share; which flag makes a public link; can the page be shared; a friend wants to see this; how can i give others a link to this;
            how do i pass this on to a friend; is sharing possible; share?; i need a public url; sharing this with others, how; how do i send someone this chat page; share it with my team""",
        "use_api": """
            how do i use you from python; can a program ask you things; calling it from code, how; how do i connect my script; what do i import to use it from python; can code talk to the chat;
            how do i query it with a script; what is the api called; how do programs use this; python api?; i want to use it in my own software; can it be used as a backend;
            how to send a message with python; gradio api?; what's the name of the api endpoint; i am a developer, is there an api; how do i program against it""",
        "openai_api": """
            how do i use the openai client here; do tools for openai work with it; is there an api like openai's; does it have /v1/chat/completions; can i set the base url to this app;
            i have a tool that speaks openai, can it use this; openai sdk?; how do i connect an openai tool; does it offer the openai protocol;
            can i use litellm; which base url do i set; openai?; chat completions endpoint?""",
        "settings_where": """
            how do i change how the app behaves; where is everything configured; how is it configured; which file do i edit to change settings; where do i set things; settings?; configuration?;
            can i set things with variables; are there environment variables; how do i give my own config file; what is in default.toml; which file is the configuration in; where are the defaults;
            how can i adjust the app; i want to change a setting of the app; is there a settings file; how do i configure farmesh chat; options?;
            env variables for the settings?; what is the prefix of the variables""",
        "change_port": """
            the page should be at another port; i need another port; port 7860 is used already; how do i choose the port; can the port be changed; something runs on that port already;
            it can't start since the port is used; how do i get it onto port 9000; which flag sets the port; another port please; the port is not free; run it at a different port;
            my port is blocked, can i use another one; where do i set the port; port conflict""",
        "change_host": """
            how do i make the page reachable from my tablet; can my phone open it too; how do i let other computers in my network open it; listen on every address, how;
            i want to open it on the tv; access from another room; how do i bind it to 0.0.0.0; it is only reachable on this machine, how do i change that; local network access?;
            how do others in the wifi reach it; which flag sets the address it listens on; use it on my phone in the same wifi; open it in the lan""",
        "no_browser": """
            it opens a tab each time, how do i stop that; how do i start it without the tab; no window please; my server has no screen; can i suppress the browser; stop opening the browser;
            it always opens my browser, i don't want that; start without page; how do i keep the browser closed; run on a server without display""",
        "open_page": """
            where do i open the chat; at which address is the chat; what do i type into the browser; which address do i open; how do i open the page again; the page did not open, where is it;
            which link do i open on this machine; what is the address; url?; where do i find the page after starting; how do i get to the chat page again; i closed the window, where was it""",
        "regenerate": """
            i want you to answer once more; can you give it another go; how do i get a new reply; a different reply please; is there a way to redo a reply; how do i ask for a fresh answer;
            the reply was bad, another one please; how do i get a second version; how do i see other versions of a reply; how do i regenerate; which button makes a new reply;
            can the answer be made again; new answer to the last question; let it answer once more; can i have another attempt""",
        "edit_message": """
            there is a typo in what i sent; can i still change what i sent; how do i rewrite my message; i want to correct what i asked; changing a message after sending, how; edit?;
            how can i modify my last question; i asked wrongly, can i change it; can a sent message be edited; how do i edit a question; which button edits a message; i wrote something wrong above;
            where can i edit what i wrote""",
        "undo": """
            how do i take back the last turn; i sent that by accident; please forget my last message; how do i remove what i just sent; can the last message be removed; take that back;
            i want to undo the last message; step back please; how does undo work; undo?; delete my last turn; how do i get rid of the last question; that message should go away""",
        "stop_reply": """
            how do i stop you in the middle; how can i cut you off; i want you to stop writing; your reply is too long, stop it; can i stop the text; how do i end a reply early; which button stops you;
            how do i stop the writing; that's enough text, how do i stop it; is there a way to stop a running reply; can i break off an answer; stop writing; what happens when i press stop;
            how do i cancel the reply; escape key?; please stop, how""",
        "two_tabs": """
            how do i begin a new chat; where do i start another conversation; new chat?; can i chat twice at once; can two of us use it; how many people can use it; are chats separate;
            i want a fresh chat; can i start over; how do i start from the beginning; can my wife use it at the same time; do chats influence each other; a second chat please;
            how do i open another chat; can many people chat at once; is each tab its own chat""",
        "my_chats": """
            where are my old chats; can i go back to an earlier chat; are my chats kept; will my chat be here tomorrow; do you keep my conversations; how do i find an old chat; can i rename a chat;
            how do i delete a chat; can i search my chats; where is my chat history; how do i delete my history; is my chat gone when i reload; what happens when i reload the page;
            i closed the page, is my chat lost; can i name my chats; where's the list of chats; is there a history; how do i rename a conversation; how do i remove a conversation;
            old conversations; chat history?; where do i see earlier conversations; can i have a chat that is not kept; what is a temporary chat; how do i get a temporary chat;
            are conversations saved; i want to see what we talked about yesterday; how do i open an old conversation; do chats survive a restart; find a chat; delete all chats""",
        "export_chat": """
            how do i save a chat; can i download the chat; how do i export a chat; export?; can i save this conversation as a file; how do i get my chat as markdown; is there a json export;
            how do i import a chat; can i load a saved chat; import?; i want to keep this chat as a file; how do i copy a whole chat; can i move my chats to another computer; save conversation;
            download conversation; how do i export to markdown; can i print the chat; i want a copy of this conversation; how do i back up my chats; can i load a chat from a file;
            where is the export; store this chat on my disk; how do i take my chats with me; export as json""",
        "presets": """
            what are presets; what is a preset; how do i save my settings; can i store the slider values; what does precise mean; what does balanced do; what is the lively preset;
            what is the neutral preset; how do i make my own preset; how do i use a preset; where are the presets; presets?; can i keep my sampling settings; how do i delete a preset;
            how do i save the sampling settings; what do the presets do; which presets are there; is there a preset for facts; can i name my settings; how do i forget a preset;
            explain the presets; preset meaning; what's model's own; how do i go back to the model's own settings; how do i reset the sliders; i changed the sliders, how do i go back""",
        "system_prompt": """
            what is the system prompt; what is a system prompt; how do i set a system prompt; where do i enter the system prompt; system prompt?; how do i tell the model how to behave;
            can i give you instructions; can i give the model a role; how do i make the model act differently; how do i give standing instructions; what does the system prompt do;
            can i change the system prompt; explain the system prompt; what is the system message; system message?; how do i tell the model who it is; where do instructions for the model go;
            can the model be told to be brief; how do i make the model always answer in french; is there a system prompt; default instructions; where do i write instructions""",
        "sampling": """
            what do all these sliders do; what are the settings on the right; how is the next word picked; how do you choose words; what are the sampling options;
            what can i set for the replies; which generation settings are there; explain all the controls; what are the sliders good for; how does the model choose a token;
            overview of the sampling settings; what is behind more; what are these knobs; what does sampling mean""",
        "temperature": """
            how does the temperature change the reply; what if i raise the temperature; what if i lower the temperature; what does the temperature do to your answers; temperature?; temp?;
            what is temperature 1; can you be more creative; how do i make you less random; what is a low temperature good for; the slider called temperature, what is it; temperature meaning;
            why would i lower the temperature; i want more surprising replies; i want safer replies; how do i make the replies more lively; explain temperature""",
        "temperature_value": """
            which temperature do you like; what's a sensible temperature; what should the temperature be; what temperature is good for a small model; which value for the temperature;
            how high should the temperature be; recommended settings?; best settings for you; what settings work best with you; what's a good setting; which temperature suits you""",
        "top_p": """
            what is top p for; top p?; how does top-p work; what if i lower top p; what does top p 0.8 do; explain the top p slider; top_p meaning; what does nucleus sampling mean;
            when should i change top p; what's the idea of top p; what is the effect of top-p; does top p make it safer; how do i turn top p off""",
        "top_k": """
            top k?; how does top-k work; what if i lower top k; what does top k 20 do; explain the top k slider; top_k meaning; what does k mean in top k;
            when should i change top k; what's the idea of top k; what is the effect of top-k; how do i turn top k off; how many tokens does top k keep""",
        "min_p": """
            what is min p for; min p?; how does min-p work; what if i raise min p; what does min p 0.1 do; explain the min p slider; min_p meaning; when should i use min p;
            what's the idea of min p; what is the effect of min-p; how do i turn min p off; is min p better than top p""",
        "repetition_penalty": """
            you are repeating the same words; how do i stop the repeating; the same words all the time; why do you repeat things; what do i set against repetition; it says everything twice;
            how does the repetition penalty work; repetition penalty?; what does a repetition penalty of 1.2 do; you keep saying the same; it loops; how do i avoid repeated sentences;
            the answer repeats itself; against loops, which setting; what is the penalty for repetition""",
        "seed": """
            what is the seed for; seed?; seed meaning; how does the seed work; what do i put in as seed; why do i get another answer each time; can i get exactly the same reply twice;
            how do i make replies repeatable; same question, same answer, how; is it random; how do i fix the randomness; what happens with a fixed seed; what if the seed is empty;
            i want reproducible replies; how do i reproduce a reply; what does the seed do to the reply""",
        "stop_strings": """
            what is stop at; the field stop at, what is it for; stop string?; stop strings meaning; how do i end replies at a word; can i end the reply at a new line; what do i put into stop at;
            how do i use a stop word; how do stop strings work; the reply should end at a certain text; is there a setting that ends the reply at a text; what's a stop sequence""",
        "max_new_tokens": """
            what is longest reply; the field longest reply, what does it do; how do i get longer replies; how do i get shorter replies; can you write more; can you write less; max tokens?;
            what limits the length of a reply; reply length?; how do i set the length; how do i allow longer answers; where is the limit of the reply set; answers should be shorter;
            how many tokens may a reply have; the limit for replies, where is it; you write too little""",
        "typical_p": """
            what is typical p for; typical p?; how does typical-p work; explain typical p; typical_p meaning; what does the typical p slider do; what is typical sampling good for;
            when do i use typical p; what does a low typical-p do""",
        "presence_penalty": """
            what is the presence penalty for; presence penalty?; how does the presence penalty work; presence penalty meaning; what does a presence penalty of 1 do;
            what does the presence slider do; how do i bring in new words; which penalty punishes words used once; when do i use a presence penalty""",
        "frequency_penalty": """
            what is the frequency penalty for; frequency penalty?; how does the frequency penalty work; frequency penalty meaning; what does a frequency penalty of 1 do;
            what does the frequency slider do; which penalty counts how often; when do i use a frequency penalty; penalty for frequent words""",
        "no_repeat_ngram": """
            what is no repeated n-gram; no repeated n-gram?; what does the n-gram slider do; how do i forbid the same three words; what does no repeat 3 mean; n-gram meaning;
            how does the n-gram setting work; how do i forbid repeated word groups; what is the n-gram control for""",
        "missing_node": """
            it says nobody serves some blocks; nobody serves block 2, what now; there is a gap in the block map; the map has a hole; it says blocks are not served; my swarm lacks a node;
            what do i do if a node is not there; a node has gone and nothing works; no reply, some blocks are missing; blocks 4 to 7 are not served; the swarm does not have all blocks;
            how do i fill the gap in the map; a part of the swarm is down; missing node, what can i do; what happens if a block has no node; block map shows a gap""",
        "node_lost": """
            one of the nodes is gone, is my chat lost; what when a node breaks down while you write; will the chat survive when a node stops; what happens to a reply when its node is lost;
            if a machine fails, what happens; a node fell out during my reply; does the reply go on when a node is lost; somebody turned off a node; what does rerouted 1 time mean;
            can a reply survive a crash of a node; node gone while answering; a computer in the swarm was shut down; is anything lost when a node goes""",
        "slow_reply": """
            why are replies so slow; your replies take long; how can replies be made faster; i wait and wait; what can i do against slow replies; it's so slow today; the tokens come slowly;
            what makes replies slow; can i make it quicker; why does an answer take a minute; slow!; is it normal that it is slow; the speed is low; how do i get it to answer faster;
            few tokens per second, why; why so slow; it is taking forever to reply; you need long for a word; can you write faster; i need quicker replies""",
        "bad_reply": """
            that reply was no good; this is not what i wanted to know; your reply does not fit; you gave me a wrong reply; you don't get what i ask; that's a strange reply; not helpful;
            what you say makes no sense; this does not answer my question; that was wrong; your answers are bad; this reply is wrong; you got me wrong; i meant something else; bad reply;
            why is your answer wrong; you made that up; nonsense; that's false; incorrect""",
        "cut_off": """
            your reply broke off; why does the reply end in the middle; the sentence is not complete; the rest is missing; can you finish your reply; the reply ended too soon; how do i continue a reply;
            you stopped writing in mid sentence; how do i get the rest of a reply; what does continue do; the end is missing; the reply hit the limit; finish your sentence; it was cut;
            the answer was not finished; where's the end of your reply""",
        "share_fails": """
            there is no public link; it says no public link can be had; why do i not get a link; the share link does not open; why is sharing not working; i tried --share and got nothing;
            my link for others is dead; the link for my friend doesn't work; gradio gives no link; share option fails; public link does not appear; why can nobody open my link""",
        "space_ports": """
            my space can't see my nodes; how do i connect a space to my swarm; why can't a space join my swarm; which ports does hugging face allow; the space won't connect to my machines;
            ports on spaces?; a space doesn't get through to my swarm; what port must a node have for a space; connection from a space fails; my nodes are not reachable from the space""",
        "privacy": """
            does anybody read what i write; where do my messages go; is what i write kept to myself; are my chats private; who sees what i write; private?; privacy?;
            does my data leave the computer; can others see what i write; do you pass on my data; do you collect data; is this chat safe; what do you do with my messages; is it anonymous;
            can i trust you with private things; do you remember me after this; will somebody read this; is my chat stored on a server; do you record this; data privacy?""",
        "public_privacy": """
            what do strangers' nodes see of my chat; in a public swarm, who sees my text; is a swarm of strangers private; can other nodes read along; how private is a public swarm;
            are remote nodes able to read my messages; do nodes of others see my messages; is it ok to send secrets to a public swarm; can the people who run nodes read this;
            what about privacy in someone else's swarm; is my text safe with foreign nodes""",
        "offline": """
            can i use it on a plane; does it need the net; no network here, does it work; do i need to be connected to the internet; is it usable without internet; will it run offline;
            is an internet connection needed; can i pull the network cable; does everything run locally; what if the internet is gone; internet needed?; is it local only;
            works without the internet?; can i use it where there is no internet""",
        "cost": """
            how much do i pay; is there anything to pay; do i pay for replies; for free?; is that free of charge; what are the costs; do you want money; costs?; price?; is there a paid version;
            what does a message cost; must i buy tokens; is the app free; how is this paid for; will i be charged; is it free forever; do i need a plan""",
        "licence": """
            which licence is it; under which licence is this; is the source open; may i use this at work; can i take the code for my project; is it allowed to change it; licence?;
            what am i allowed to do with the code; can we use it in a company; is commercial use ok; may i pass it on; is the source code available; under what terms may i use it;
            can i use the guide model in my own app""",
        "about_model": """
            what are you running on; what is your name as a model; which llm am i talking to; which model writes these replies; are you a large model; how large is the model behind you;
            tell me about yourself as a model; what kind of ai are you; what were you trained on; who is your maker; who built you; how did you learn;
            are you an openai model; are you made by google; are you an llm; how much do you weigh in megabytes; what is the guide; how old are you; which company made you; your size?;
            is the guide a llama; what's your parameter count; what do i know about the model behind this""",
    }.items()
}
