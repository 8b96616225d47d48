# ruff: noqa: E501 - lists of phrases read better unbroken
"""Many voices: the same questions from people in a hurry, at length, with a story, half in jest."""

from training.text.phrasings import split

VOICES: dict[str, tuple[str, ...]] = {
    name: split(text)
    for name, text in {
        "what_app": """
            i have no idea what i'm looking at; my son opened this for me, what is it; is this a chat room or what; what's going on on this page;
            so what would i do here; just landed here, what's this about; before i sign up for anything, what is this; can you sum this app up in a sentence;
            is this like chatgpt; what makes this different from other chat bots; what is this tool meant to do; i clicked on a link and ended up here;
            what's the deal with this website; who would use an app like this; give me the elevator pitch; what does this software do for me; i'm lost, what is this page for""",
        "what_farmesh": """
            they told me to look into farmesh; farmesh, never came across it; is farmesh some kind of library; what would you say farmesh is; the logo says farmesh, which is what;
            is farmesh the thing that runs the model; what job does farmesh do here; farmesh is software for what; the part called farmesh, what is its job; what's so special about farmesh;
            someone at work raves about farmesh; in a nutshell, farmesh; what do i get from farmesh; is farmesh the same as this app; is farmesh a kind of network""",
        "what_swarm": """
            swarm as in bees?; you keep saying swarm; is a swarm some sort of network of pcs; how many machines make a swarm; why bees, i mean why swarm; when you say swarm, what do you have in mind;
            the panel says swarm, what's in there; what goes into a swarm; i only know swarms of insects; is the swarm in the cloud; is a swarm the same as a cluster of servers; so the swarm is what answers me;
            my daughter asks what a swarm is; would two computers be a swarm already; a swarm consists of what; what is it they call a swarm""",
        "what_node": """
            would my desktop count as a node; node as in computer?; so nodes are servers?; what is it that a node does for me; the panel shows two nodes, what would those be; are nodes people or machines;
            what would you call one machine of the swarm; what do i picture under a node; the thing named node in the map; node, explain; a single node does what; what work is left to a node;
            is a node a process or a machine; what are nodes supposed to do; every node does the same?; one member of the swarm is called what""",
        "what_block": """
            are blocks like layers of a cake; block as in lego?; what's stored in one block; the map has little squares, are those blocks; why is the model cut into blocks; a model made of blocks, how so;
            blocks 0 to 7, what would those be; into what pieces is the model cut; what do you call one slice of the model; is each block a small model; the pieces that a node holds, what are they;
            i read block 5 somewhere, what's that; in how many pieces is the model; what's a block compared to a layer; one block has what in it""",
        "what_hop": """
            hops like a rabbit?; it reads 2 hops, is that good; what would three hops mean; is more hops bad; hop as in network hop?; one hop is from where to where; why does the number of hops matter;
            how come it says hops; i see the word hop below the answer; what do hops stand for; each hop costs time, but what is it; does every node make a hop; a jump from node to node is called what""",
        "what_route": """
            by what way do my words go through the swarm; is the route always the same; what decides where my message goes; which machines did my answer pass through; does the route change;
            can you tell me about the route of a reply; how does the app know which nodes to go to; is there a fixed path; what's the thing drawn as route; how is the chain of nodes built;
            in what sequence do the nodes work; the list of hops is called what; routing, how does that go; which machine comes first, and who says so""",
        "what_span": """
            a span of what; my node says span 4:8; is the span the number of blocks; span as in range?; what would a span of two blocks look like; what is written as start and end of a node;
            node 1 has 0:4 written beside it; the blocks of one node are called a what; two numbers with a colon, meaning; is the end of a span counted in; why do nodes take blocks in a row""",
        "what_session": """
            session of what; it talks about sessions all the time; when i come back tomorrow, is the session there; is a session like a login; a session is kept where; what would end my session;
            do nodes hold a session for me; is my session shared with others; what if the session is gone; how long will a session be kept; what makes up an inference session; why open a session at all;
            the thing that lives across turns is called what; is a session the same as a chat""",
        "what_kv_cache": """
            is the kv cache like browser cache; cache of what; what ends up in the kv cache; k and v, meaning; why keep keys and values; could it work without a kv cache; who fills the cache;
            does each node have its own cache; the nodes keep something called kv; what's the reason for having a cache; the cache left is shown, what cache; is my text in the cache;
            how come later turns are quicker; what does a node remember of me while we chat; how large does the cache get; kv for short, what is it""",
        "what_token": """
            tokens like coins?; are these crypto tokens; one token is how many letters; you write in tokens, what would they be; do spaces count as tokens; how do i count tokens; is a comma a token;
            is a syllable a token; text goes in as tokens, meaning what; why not just say words; 160 tokens is how much text; what's the unit called token; how come a name is several tokens;
            tokens, tokens, tokens, what are they""",
        "what_bootstrap": """
            bootstrap like the css library?; does every swarm have a bootstrap peer; which machine should be the bootstrap; can a swarm live without a bootstrap; the bootstrap printed a long address;
            is the bootstrap the boss of the swarm; how many bootstrap peers do i want; what does a newcomer need to get in; the first contact in a swarm is who; what's it good for, the bootstrap;
            is a bootstrap peer heavy on my machine; i keep reading bootstrap peer; would the swarm die with the bootstrap""",
        "what_dht": """
            dht, is that a table; d h t, meaning; is there a registry of nodes; who tells my app about the nodes; where does it look up the nodes; how does the app learn that a node came in;
            is one server in charge of the list; the shared address book is called what; how do machines that never met find each other; where do nodes say what they serve;
            does somebody keep a directory of peers; how is everybody found without a server; what's this hash table""",
        "how_it_works": """
            how on earth do two computers answer one question; what goes on between my enter key and your answer; show me the way of a message; i'm curious about the inner workings; how is a sentence made here;
            could you outline the whole process; where does an answer come from; what's the pipeline; how do you actually manage to answer; in what steps is a reply written; what's going on technically;
            how does one model get spread around; how do nodes team up; my kids ask how you think; give me a tour of how it works; what's the principle behind this; describe the process from start to end;
            how come it runs on several computers at once; what is the magic here; a quick tour of the technique""",
        "why_swarm": """
            isn't a swarm overkill; what do i win with more machines; what is the big advantage of sharing the work; would a single pc not do; why go through the trouble of a swarm; is it worth having several nodes;
            why is one machine not enough; what's the idea of spreading a model; why share one model among many; sell me the idea of a swarm; what are the upsides of many nodes; who needs a swarm anyway;
            why would i want more than one computer; i don't see the point of distributing it; what problem does the swarm solve""",
        "prefill_decode": """
            first it says prefill, then tokens come; prefill, as opposed to what; what are the two phases of a reply; reading and writing phase, what are they called; is prefill the slow part;
            what's being prefilled; the step before the first token; decode is which part; which phase reads my message; the two stages, prefill and the other one; what goes on in the prefill step""",
        "ttft": """
            t t f t, what is it; the time before anything appears has which name; what is the first time in the status line; first token after 2 s, is that a measure; how fast does the first word come, and what's that called;
            what is counted as the first token time; latency until the first word; ttft in plain words; why does the beginning take longer; how is the first wait called""",
        "status_line": """
            there is tiny text under your words; what are those statistics for; i see 12 tokens/s, is that good; what's the grey line for; under each answer there are numbers; what is reported under an answer;
            what do i learn from the line below; the footer of a reply, what is in it; remembered, tokens, hops: what is all that; how do i know how fast an answer was; the text in small print below;
            explain the little report after each reply; some of my tokens were remembered, how come; can i see how fast it was""",
        "context_length": """
            can i paste a whole book; will a ten page text fit; when do you start to forget; how many pages can you keep; does a chat ever get full; what's the most text you can look at; it warns that the chat is nearly full;
            how far does your memory go back; my chat is getting long, is that a problem; what comes after the limit of the chat; how many words until it is full; can i talk with you all day in one chat;
            is there a cap on the length of my chat; the meter shows tokens left; how big can a prompt be; the oldest messages leave, why""",
        "file_format": """
            does it take gguf; what kind of file is a model; i've only got a .pth; my model is a pickle; weights in .pt, can it read them; would a keras model load; what's so great about safetensors;
            which file extension do i need; can it open ggml; are onnx files fine; does the format of the weights matter; what about pytorch_model.bin; must weights be safetensors; tensorflow checkpoint?;
            in which format should i save my model""",
        "petals": """
            what became of petals; i know petals from years ago; will it talk to an old petals server; could my petals friends join; who was first, petals or farmesh; is petals still needed;
            what do you share with petals; is it compatible with the petals network; petals users, can they switch; does it replace petals; the paper about petals, is that you; are petals nodes welcome;
            how close are you to petals""",
        "start_app": """
            i just unpacked the folder; done downloading, now how does it start; what's the magic word to start it; where do i type make run; complete beginner, how do i get this running; the zip is on my desktop, and now;
            how long does the first start take; i have the source, what do i enter; how do people install this; what comes after git clone; get me started; let's start, what do i do; i want to see it on my own screen;
            bring it to life, how; how does one run this thing; what is the very first command; i need the steps to run it here; can i start it with one command; walk me through the setup; ready to go, what's first;
            how would i put this on my computer; start up?; how do i wake it up; is there an installer""",
        "stop_app": """
            that's it for today, how do i close up; how do i get my terminal back; kill it, how; time to turn it off; i want everything gone from memory; it's still running in the background; ctrl what ends it;
            i closed the tab but it runs on; which key combination ends it; let me end the whole thing; is there a stop command; how do i bring the app down; how do i put it to sleep for the night;
            finish everything, please tell me how; how to leave; the fan is loud, how do i stop the app; what do i press so that it ends; done with it, how do i shut down; power off the swarm""",
        "run_tests": """
            how do i see if my copy is ok; does the project come with tests; i patched something, how do i check it; which target runs the tests; pytest or make; run your own tests; is everything tested;
            check the code for errors, how; what tests do you have; i'd like to verify the installation; how do contributors test""",
        "requirements": """
            will my ten year old laptop do; does it want a big machine; i have 4 gb of memory, fine?; what do i have to install myself; would a chromebook do; can it run on an intel laptop; do i need to buy a gpu;
            what about windows users; mac user here, can i; is python 3.10 enough; do i need docker or something; will it eat all my ram; what's needed on my side; are there any hardware demands; can my pc take it;
            any software i need first; is a cheap vps enough; does it need an account somewhere; how heavy is it; do i need root; does my cpu suffice""",
        "choose_model": """
            who else could answer me; i'd like a second opinion from another model; you are cute but i need a real model; how do i get gpt size answers; are you the only model; can i load llama 3 instead;
            is there someone who knows more than you; which other brains are available; change of model please; what do i do to talk to mistral; can i use something larger; where's the menu of models;
            i need a model that speaks about anything; move to a stronger model; how would i run a 70b model; give me a smarter partner; may i pick who answers; let me talk to your big brother; upgrade the model;
            i want to replace guide by something else; how do i select qwen""",
        "add_model": """
            my model is on this disk, how do i offer it; i fine-tuned a llama, how do i get it in; where are new models written down; how do i make a model show up in the list; what do i write into models.toml;
            what does a catalogue entry need; i want to run weights of my own; could i plug in a model i made; add one more model to the picker; new entry in the catalogue, how; can the app load a folder with a model;
            register my weights; a model that i downloaded, how do i use it; where does a model have to be listed""",
        "add_node": """
            there's an old pc in the basement, can it do something; i want this laptop to carry some of the work; my workstation has a gpu, how do i make it help; how do i get a fourth node; one more worker please;
            how can a friend's computer take part of the model; what do i run over there to serve; the swarm needs more hands, how; how do i connect an extra server to the swarm; let me donate computing time;
            could a raspberry pi serve a block; how do i put blocks onto another host; how do i become a node; make this box part of the swarm; i rented a server, how does it join as a node; how would i scale the swarm up;
            i'd love to give something back to the swarm; two more pcs are free, how do i use them; extra machine, what now; start serving, how""",
        "choose_blocks": """
            this machine shall only have block 7; give one node more blocks than the other; can i move blocks between nodes; the small machine should get just one block; how do i fix the blocks of my node;
            can i split the blocks 3 and 5; who says which blocks a node has; the first half of the model on this node please; how do i divide the blocks by hand; hand out blocks myself; how do i tell it to serve the last layers;
            can a node be made to serve a given range; my node chose the wrong blocks""",
        "join_swarm": """
            my university has a swarm; a colleague sent me a long /ip4 address; how do i get into the swarm of my team; they run nodes already, how do i use theirs; instead of two local nodes i'd like theirs;
            can i chat over nodes of other people; what do i do with this peer address; hook my page to their swarm; we have a swarm in the basement, how does my page find it; how do i leave the local swarm and use another;
            i want in on an existing swarm; is there a swarm i can log on to; how would i chat through remote machines; connect me to that swarm; which option points to other peers; enter peers where""",
        "own_swarm": """
            me and four friends want a swarm; how do we begin a swarm from nothing; our office has ten idle pcs; how do i put several computers together; create a network of nodes at home, how; what order do i start things in;
            i have two servers and a laptop, make them a swarm; how do i open a swarm for my team; how would a company run its own swarm; set up bootstrap first or nodes first; how do i found one;
            i want to be the owner of a swarm; from zero to a swarm, how; what does it take to run a swarm; how do i get a bootstrap going; a swarm just for us""",
        "swarm_status": """
            are both of my nodes alive; how do i tell that all is well; who is there at the moment; which node holds block 2; where do i look when i want to see the nodes; let me see the machines; is anybody serving block 0;
            health check of the swarm, how; how many nodes are up; is there a dashboard for the swarm; i'd like a list of who's serving; has my new node come in; can i watch the swarm; where is the block map;
            tell me how to inspect the swarm; show all peers; who's up""",
        "generate_cli": """
            i live in the terminal; i hate web pages, is there a terminal way; can i pipe a prompt into it; ask a question by command; run one prompt and print the answer; ssh only here, can i still chat;
            is there something without html; text mode?; i'd rather type in my shell; can cron ask it a question; get output on stdout; how to prompt from a tty""",
        "deploy_space": """
            can my followers use it on hugging face; free hosting, is there a way; put the whole thing on hf, how; i have a hf account, what do i upload; does it come ready for spaces; make my own space from it;
            i want this to be online for everybody on hugging face; what do i push to get a space; can the cloud run this for me; is there a one click deployment; how do i get a copy on hugging face; turn it into a space;
            is it ready for hugging face; where could i host this""",
        "share_link": """
            my brother lives in spain and wants to see it; how do i give somebody a link to my page; can a stranger on the net get to my page; i'd like to post a link in our group chat; how can people from outside come in;
            my students should try it from home; make a public address for an hour; open my page to the internet, how; can i tunnel it; let my boss have a look from home; is there a link that works everywhere;
            i need something i can paste to a friend; quick public link, how; how do outsiders reach my app; share this for an afternoon; get a gradio.live link; let the whole class try it""",
        "use_api": """
            i want to write a bot with it; how does my program get an answer; could a script send you ten questions; node.js or python, how do i reach you; is there something for developers; what would i import;
            how do i wire it into my app; can software talk to it without the page; code example for python?; which library calls it; i'm building a discord bot; can excel call it; fetch an answer from code;
            what is the function name of the endpoint; how does a program keep a conversation going""",
        "openai_api": """
            will the openai client connect; my app was written for chatgpt's api; can i swap the openai url; which url goes into base_url; does cursor work with it; can i use it as an openai server; v1 endpoint, is it there;
            is it a replacement for the openai service; works with langchain?; litellm?; i have code for gpt-4, can it call you; does it stream like openai; openai style requests, are they ok; is there /v1/models;
            can i keep my openai code; chat completion calls""",
        "settings_where": """
            i'd like to tweak how the app runs; where do i turn things on and off; is there a list of what can be set; which file should i open for changes; can i set stuff through docker variables; ini file or toml;
            the options of the app, where are they written; how do i hand it a config of my own; what may i set; my changes should survive a restart; can a variable override the config; where do i put FARMESH_CHAT_;
            what are my options; i need to change a default; where's the control file; where would i set the limits""",
        "change_port": """
            something sits on 7860 here; it complains about the port; errno 98; i must use port 443; another number than 7860 please; two copies need two ports; can i move the page to 8081; the firewall only lets 8080 through;
            bind failed, port in use; how do i give it a port number; take a free port; which option is for the port; i want :5000 at the end of the address; stable diffusion has my port""",
        "change_host": """
            my tablet says it can't connect; how do i get it on the tv in the living room; i'd like to reach it from the kitchen laptop; same wifi, other device; can the page be opened by other machines in the house;
            i run it on a server, how do i open it from my laptop; make it listen for everyone; the page works here but not on my phone; only localhost works; let the office network see the page; lan access please;
            how would my flatmate reach it in our network; show it on another screen at home""",
        "no_browser": """
            it pops up firefox each time; stop popping up windows; i run it over ssh, no window please; launch quietly; i don't want a tab; can the automatic tab be turned off; it must not open anything;
            run on a machine that has no monitor; don't launch chrome; start in the background without a window; why does it open a browser""",
        "open_page": """
            i closed it by mistake, where do i find it; what's the localhost address; at which address is the chat; my browser stayed empty, what do i type; give me the url; it runs but i see no page;
            bookmark which address; how do i come back to the page; where in the browser is it; http what?; the window vanished, what's the address again; type what into the address bar""",
        "regenerate": """
            let's have a different answer; another go please; i'd like it worded differently; show me an alternative; spin again; can you come up with something else; try a new answer; not happy, again; how do i see the earlier version;
            how can i ask for the same thing again without typing; one more version; give it another shot; is there a button for a new answer; i want to compare two answers to one question; do that one over""",
        "edit_message": """
            i mistyped; there was an error in my question; can i reword what i sent; i left out a word, can i add it; wrong word in my message; how do i fix what i just wrote; i'd like to touch up my message; change one word in my question;
            send button too early; my message has a mistake; can i go back and alter my text; how do i amend a message; correct a past message, how; i want to ask it a bit differently""",
        "undo": """
            forget what i just said, how; that was a mistake, take it back; how do i wipe the last exchange; rewind one turn; remove my last line; ctrl z?; can you unsee my last message; i want the last question out of the chat;
            step back once; let's go back one message; scratch that last message; drop the last turn; can i take it back; get rid of the latest question and answer""",
        "stop_reply": """
            ok that's enough; it won't stop writing; halt!; how do i shut you up; can i break in while you talk; too much text, make it end; how do i end this flood of words; stop right there; cancel this answer;
            the answer is going the wrong way, how do i stop it; hush; can i cut it short; is there a way to stop it half way; cut the answer off now; i've read enough of this reply, stop; silence please""",
        "two_tabs": """
            my partner wants a chat of her own; can the two of us chat at once; separate conversations, possible?; i'd like a clean slate; start fresh; begin again from scratch; is there room for ten people; what about a whole class at once;
            can i keep one chat for work and one for fun; will a second window mix things up; how do i begin another conversation; open a new chat; several people at the same time ok?; does it serve more than one person;
            are my tabs separate; two browsers, two chats?""",
        "my_chats": """
            my conversation from monday, where is it; is there a list of what i asked before; do you keep old talks; bring back an earlier talk; i refreshed and it's empty; i want this talk to have a proper name; get rid of a talk;
            find the chat about nodes; do my chats stay when i restart; clear my history; a chat that leaves no trace; incognito chat?; can i chat off the record; look through earlier conversations; where's the history;
            my chats have silly names; how do i throw out an old chat; can i get back to the talk from this morning; are my talks kept; my old conversations vanished; is there a search over my chats; private mode for a chat;
            how do i tidy up my list of chats; i want to reopen yesterday's chat; delete this whole conversation; does the browser keep what we said; a conversation that isn't saved""",
        "export_chat": """
            give me this talk as a file; can i email this conversation to somebody; i need it in writing; how do i get the text out of here; save our talk; make a document of this; archive this chat; i changed computers, how do my chats come along;
            load back a chat that i saved; i have a json of an old chat; store it as markdown; keep a copy of what we said; put the whole talk into a file; can i hand this conversation to a colleague; transcript please;
            how do i get a transcript; bring my conversations to another browser; copy everything we said; backup of my conversations; read in a chat file; i saved a json, how do i open it; conversation to disk;
            moving to a new laptop with all my chats; download our talk; can i have a log of this chat""",
        "presets": """
            i like these slider positions, can i keep them; what is lively good for; which preset for facts; what does balanced stand for; give my slider positions a name; how do i put all sliders back; get the original settings back;
            save this mix of settings; there is a menu with precise and lively; i messed up the sliders; restore the sliders; is there a ready-made setting; remember my sampling values; one click for all sliders;
            precise, balanced, lively: which one; my own preset, how; throw away a preset; i turned too many knobs, undo that; what's neutral; call up my saved settings; the menu above the sliders; bring all controls back to normal;
            model's own, what is that; how do i keep this set of values for later""",
        "system_prompt": """
            i want it to always talk like a pirate; can i give the model a character; make it answer in short sentences every time; rules that hold for the whole chat; one instruction for all messages; where do i say how it should behave;
            the model should be a teacher; give the model a personality; text that stands before the chat; a standing order for the model; it should always be polite, where do i say so; how do i brief the model;
            can i tell it once to answer in bullet points; set the tone for the whole conversation; let it play a role; define the behaviour of the model; instructions that stay; is there a box for rules;
            every reply should be formal, how; a hidden message at the start; how do i make it act as an expert; persona?; where can i put background for the model; prompt for all chats""",
        "sampling": """
            so many sliders; what's all this on the right; what are those controls good for; what do i do with all these knobs; which slider is for what; can you explain the panel with the sliders; do i need the sliders;
            how does it pick the next word; what influences your choice of words; the generation options, briefly; overview of the knobs; can i control how the answers are made; what can be adjusted about the replies;
            give me a quick tour of the sliders""",
        "temperature": """
            is the temperature about heat; i want bolder answers; dull answers, what do i turn; make it play safe; more imagination please; how do i get it to be careful; it is too wild, calm it down; the top slider, temperature;
            what if i drag temperature to the right; what does cold mean for answers; set temperature to zero, what then; spice up the answers; less randomness, how; how does one get more varied text; answers too crazy;
            the warmth of the model; does a high temperature cause mistakes""",
        "temperature_value": """
            which number for temperature; what would be good values; how warm should i run you; tell me a good temperature; 0.3 or 0.8; is 1 too high for the temperature; suggest a temperature; what do you use as temperature;
            best values for the sliders; which settings suit a small model; your preferred settings; what should i leave the temperature at; a safe value for temperature; good settings for facts""",
        "top_p": """
            top p, never understood it; the slider with top-p; 0.9 for top p, good?; what's being cut off by top-p; top-p of 1, off?; how is top p different from temperature; what would top-p 0.2 do; use top-p when;
            the likeliest tokens up to p; nucleus, what's that; what does the p stand for""",
        "top_k": """
            top k, never understood it; the slider with top-k; 40 for top k, good?; top-k of 0, off?; how is top k different from top p; what would top-k 5 do; use top-k when; what does the k stand for; a fixed number of tokens, which slider;
            only the best k tokens""",
        "min_p": """
            min p, never understood it; the slider with min-p; 0.05 for min p, good?; min-p of 0, off?; how is min p different from top p; what would min-p 0.3 do; use min-p when; what's the least probability slider;
            min p or top p; drop unlikely tokens with min-p""",
        "repetition_penalty": """
            you sound like a broken record; always the same phrase; how do i get rid of the echo; it says one thing five times; stuck on one sentence; the text goes round and round; which slider is against repeating;
            again the same words; punish repeating; loops, what do i do; my model stutters; is there something against endless repeats; the same line over and over; repetition penalty too high, what happens""",
        "seed": """
            i'd like to get that very answer once more; each time it says something else; make the randomness fixed; lottery number field called seed; same input, same output, can i have that; what number goes into seed; random seed, huh;
            two runs should match; how do i share an answer that others can repeat; why does it never say the same twice; can i freeze the dice; leave the seed empty, what then; for a demo i need the same text each time""",
        "stop_strings": """
            it should end when it writes END; can i give it a word to stop on; the box called stop at; finish the reply at a blank line; a word that ends the answer; how do i cut replies at a full stop; end at the first newline;
            stop text, where; what are words that stop it; make it quit once a certain sign comes; stop at ### please""",
        "max_new_tokens": """
            the replies are too brief; make your answers shorter; one sentence is enough, where do i say that; the field with the longest reply; i want an essay, not one line; cap the length of a reply; how much will you write at most;
            limit of words per reply; let it write more; it writes novels, shorten that; set how long an answer gets; allow five hundred tokens; raise the length; reply size limit; a longer text please, how; keep it short, which setting""",
        "typical_p": """
            typical p, never understood it; the slider with typical-p; typical-p of 1, off?; what would typical-p 0.5 do; use typical-p when; typical, as in usual?; is typical-p like top-p; what's typical about typical-p""",
        "presence_penalty": """
            presence, as in being there?; presence penalty 0.5, what does it change; the presence one; is presence penalty against repeats; new topics, which penalty; penalise words that were there once; what would a high presence penalty do""",
        "frequency_penalty": """
            frequency, as in how often?; frequency penalty 0.5, what does it change; the frequency one; is frequency penalty against repeats; punish words the more they come; what would a high frequency penalty do; often used words, which penalty""",
        "no_repeat_ngram": """
            ngram, what's that; forbid the same run of words, which setting; no repeat n gram 3; n-grams, meaning; what does the n stand for in n-gram; never repeat three words in a row; the strictest setting against repeats""",
        "missing_node": """
            it is red at block 3; half of the model is gone; the map has an empty spot; nobody has block 6; the page complains about blocks; i switched off a pc and now it says a block is missing; uncovered, it says; some layers have no home;
            what to do about a hole in the block map; it waits for a block; can't answer because of missing blocks; which node do i start when blocks are missing; blocks unserved, now what; part of the model is not there;
            error: nobody in the swarm serves block 1; the swarm is short of a node""",
        "node_lost": """
            what if someone trips over the cable; will you go on if a pc dies; suppose a node burns down; node dies, answer dies?; a laptop in the swarm was closed; does the text survive when a machine quits; it said rerouted, is that bad;
            is my answer ruined if a node leaves; how robust is it against crashes; a machine rebooted in the middle; does it recover by itself; can a broken node break my chat; what happens to my text when somebody leaves the swarm;
            node unplugged""",
        "slow_reply": """
            it crawls; i could make coffee meanwhile; one word a second; what's taking so long; speed it up, how; my grandma types faster; so laggy; how do i get more tokens per second; is my computer too slow for it; why the long wait;
            the answers drip in; faster please; what slows it down; can it be sped up; still waiting; is it supposed to be this slow; it used to be quicker; hangs for ages; performance is bad; how do i make it snappier""",
        "bad_reply": """
            no, that's not it; you're talking rubbish; are you drunk; huh, that has nothing to do with it; i asked something else; wrong!; you did not answer me; that's not true; what a strange answer; you mixed that up; that doesn't help;
            try to understand me; you keep getting it wrong; that's the wrong answer; no no no; you're making things up; off topic; this answer is useless; that's a lie; you don't understand; not what i meant""",
        "cut_off": """
            you left me hanging; and then? it just ends; the last word is half; where's the rest of it; it ended in the middle of a word; finish what you were saying; the reply is missing its end; you broke off; let it go on writing;
            the text was chopped; the answer isn't whole; how do i make it finish; it ran out of room; please finish your answer, how; the end got lost; the reply stops short""",
        "share_fails": """
            no link shows up; the gradio link is not there; my friend gets an error on the link; link expired?; it says it can't be shared; --share prints no address; sharing won't work here; behind a company firewall, no link;
            public url could not be made; the shared page doesn't load; what if no share link comes; the link stopped working""",
        "space_ports": """
            hf space finds no peers; from the space nothing connects; the space times out on my swarm; ports allowed on hf; my swarm is on 31337, the space can't dial it; does a space reach port 8080; why does my space see no nodes;
            how must a node listen so that a space finds it; firewall of hugging face; a space and my swarm don't meet""",
        "privacy": """
            do you spy; is anyone reading along; are you recording; do i have to worry about my data; is it ok to tell you personal things; where is this stored; does it call home; does any of this go to a company; are you safe to talk to;
            will this be used for training; who gets to read this; do you keep what i say; is it just between us; can my boss see what i type; does my text go to the cloud; anything sent to america; can i talk about private stuff;
            data protection, how is it; are there logs of my words""",
        "public_privacy": """
            can somebody who runs a node spy on me; in a swarm of unknown people, how safe; my text passes strange machines, is that ok; what could an evil node see; should i trust the nodes of others; secrets over a public swarm, good idea?;
            do volunteers see what i write; are hidden states readable; could my words be rebuilt from what nodes see; who can listen in a public swarm""",
        "offline": """
            no wifi in my cabin, does it matter; airplane mode ok?; if the router dies, will it still run; must i be online; can it live without the web; does it download things while i chat; without a connection?; fully local?;
            works in a tunnel?; my internet is out; do i need data for this; can it run on an isolated network; on a submarine""",
        "cost": """
            what do you charge; is there a bill; how expensive is it; do i need to pay later; any hidden costs; is there a free trial; who pays for this; does a token cost something; cheap or expensive; is it gratis;
            will you take my money; what's the price tag; is it free for companies; donations?; nothing to pay, really?""",
        "licence": """
            can i put this into my product; who owns the code; copyright?; may i fork it; gpl or mit; am i free to copy it; can i use it for money; is the model free to use; what does the licence say; terms of use?;
            can my school use it; may i redistribute it; open source or closed; legal to use at work?""",
        "about_model": """
            who's behind the keyboard; what sort of model are you; are you claude; are you deepseek; how clever are you really; where were you trained; who's your daddy; what's your parameter number; are you a small one;
            what is inside of you; are you human or machine made of what; which company do you belong to; who wrote you; what did you learn from; when were you trained; are you a neural network; how much do you know;
            what's your brain made of; size of this model?; are you an ai; on what texts were you trained""",
        "sign_in": """
            how do i protect the page with a password; can i put a login in front; only my team should get in; is there a login; how do i keep strangers out; can people have accounts; password for the page?; where do i set a password;
            i want users with passwords; does it support hugging face login; restrict who may chat; who can open the page; lock the page; add a user; how do i let only some people in; authentication?; make people log in;
            can i see who logs in; how do i give my colleague an account; access control; is there a password by default; user management; sign in with hugging face; do i have to log in; protect it from the public;
            require a sign in; how do i secure the page; allow only certain users; set up logins""",
        "gpu_node": """
            does it use my graphics card; will it run on cuda; how do i make a node use the gpu; can it use my rtx; is my gpu used; run a node on the gpu; which device does a node use; how do i put a node on the graphics card;
            cpu or gpu, who decides; i have an nvidia card, is it used; does a gpu make it faster; use cuda for serving; choose the device of a node; two gpus in my machine, which one is taken; force the cpu; can nodes run on gpus;
            make use of the graphics card; how do i turn the gpu on; gpu support?; does it support cuda; which flag sets the device; my gpu sits idle""",
        "language": """
            do you speak german; can you talk spanish; which languages do you know; do you understand french; can we speak italian; what languages do you speak; i don't speak english well; can the page be in german; is there a spanish version;
            auf deutsch bitte; sprichst du deutsch; hablas espanol; parles-tu francais; switch the language; change the language of the page; other languages?; is it only english; translate the page; how do i get german labels;
            my mother only speaks spanish; do you know chinese; language?; can you answer in dutch; is the page translated; speak polish to me; set the page to spanish; can i write in portuguese""",
        "keyboard": """
            are there keyboard shortcuts; which keys can i use; how do i make a new line in my message; shift enter?; does enter send; shortcut for a new chat; hotkeys?; what does escape do; what does the up arrow do; keyboard commands;
            can i use it without a mouse; list the shortcuts; which key stops a reply; how do i write two lines; key for editing the last message; what are the keys; line break in the message box; enter sends too early;
            is there a shortcut to stop; show me the hotkeys; how do i use the keyboard here; how do i type several lines""",
        "text_only": """
            can i upload a picture; can you see images; can i send you a file; how do i attach a pdf; can you listen to me; does it have voice; can i speak to you; can i drop a document here; do you read pdfs; is there an upload button;
            image input?; can i show you a photo; can you look at a screenshot; attach a file, how; can you talk out loud; read this aloud; voice input?; does it take audio; is there speech; can i paste an image; i want to send a photo;
            where do i upload a document; can the chat take files; microphone?; send an attachment; can you open an attachment""",
        "containers": """
            is there a docker image; docker?; can it run in docker; docker compose?; kubernetes?; podman?; how do i build the image; i run all my stuff in containers; is there a dockerfile; which docker command starts it;
            can i put it into a container; how do i keep it running on a server; systemd service?; how do i start it when the machine boots; run it as a daemon; it should always be on; how do i run it in production;
            is there a compose file; install it as a service; run it on my nas; a container for the node; dockerize it; i want it to start by itself after a reboot; how do i deploy on my own server; run it in the background for good""",
        "looks": """
            is there a dark mode; how do i switch to dark; it's too bright; can i have a light theme; night mode?; change the colours of the page; dark theme please; the page hurts my eyes; make it dark; turn off dark mode; light or dark;
            how do i change the theme; does it work on a phone; can i install it as an app; put it on my home screen; how does it look on mobile; is there a mobile version; black background please; can i get a white background;
            change how the page looks; i prefer a dark page; is there an app for my phone; install it on my phone""",
    }.items()
}
