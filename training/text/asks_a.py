# ruff: noqa: E501 - lists of phrases read better unbroken
"""Asks from all sorts of people, first half of the topics: by effect, by goal, by what they see."""

from training.text.phrasings import split

ASKS_A: dict[str, tuple[str, ...]] = {
    name: split(text)
    for name, text in {
        "what_app": """
            grandma here, my grandson says i can type to it, but what have i got in front of me; never used anything like this, what is it for; my boss wants a one line summary of this tool for the wiki;
            is this a game, a messenger or a search engine; what happens on this website; help me understand what i can do on this website; purpose?; overview of the app; intro please, i'm new here;
            i use ollama at home, what would i use your app for; is it comparable to open webui or lm studio; how is this different from an ordinary chat website; another chat frontend, or what; who needs a page like this one;
            what's the point of this chat page; i was invited to try this out but nobody said what it is; tell a newcomer what this is about; so what's this app good for in everyday life; what would i tell a friend this app is;
            summary of farmesh chat for a newsletter; describe the product; is this a website or a program on my machine; the title says farmesh chat, so what kind of chat is it; which features make up this app;
            first visit, please orient me; i found this in my bookmarks and forgot what it was; is it a demo or a real product; what does farmesh chat offer; what brings people to this page; it looks like chatgpt but isn't, so what is it;
            explain in one breath what this web app does; reviewing apps for our school, what's yours; what category of software does this fall under; a chat page for what; what am i able to do with this tool;
            my neighbour who knows about computers left this open on my screen and now i'd like to understand what i can use it for; i'm comparing chat tools for our library and i need two sentences on what this one is;
            okay so there's a box to type in and a list on the left, but what is the whole thing meant to be""",
        "what_farmesh": """
            my professor dropped the name farmesh, what did he mean; is farmesh an inference framework; farmesh compared with vllm, what is it; is farmesh something like ray or mpi; the python package called farmesh, what is its purpose;
            which software splits the model and glues it together again; the library underneath this chat; what technology powers this page; name of the engine and what it does; backend of this app, what is it called and what for;
            farmesh in simple words for my dad; is farmesh a brand, a tool or a protocol; what is python -m farmesh; what did they build with farmesh; i'm reading the source and there is a folder farmesh, what's in it;
            what's the thing below the chat page that does the real work; farmesh, summary; why is there a separate thing called farmesh; the farmesh software, tell me about it; what would i need farmesh for if i had no chat page;
            is it correct that farmesh is the underlying engine; the chat is one thing, farmesh the other, right; sum up the farmesh engine; farmesh and its purpose; what is farmesh made for; does farmesh distribute models over pcs;
            if someone asks me at a job interview what farmesh is; which part of the project is named farmesh; what can farmesh do that llama.cpp can't; farmesh sounds like a farm and a mesh, what is it really;
            the runtime that this chat is built upon; never heard that name, farmesh; glossary entry for farmesh;
            i understand that the page is called farmesh chat but what about the other name, farmesh alone, what does that stand for; we already use vllm at work and someone proposed farmesh for it, so what kind of software is that;
            for my thesis i have to describe the engine below this chat in one paragraph""",
        "what_swarm": """
            what's the collective name for all these computers; all the machines together are called what; i thought swarms were for bees and drones; a bunch of pcs working as one, is that what you call it; swarm, noun, meaning;
            my teacher wants us to define swarm; translate swarm for a non techie; explain the term swarm to a seven year old; is it like bittorrent but for ai; is the swarm like a peer to peer network; a swarm sounds scary, what is it;
            what is this group of computers; who are the members of a swarm; does a swarm have a leader; is a kubernetes cluster a swarm; docker swarm or another kind of swarm; how many pcs do you call a swarm; what forms a swarm;
            i'm connected to a swarm, it says, but to what; the heading above the node list says swarm; private swarm, what would that be; the embedded swarm, what is this; what is meant by embedded swarm;
            is there already a swarm running here; what does your swarm consist of; the swarm behind this chat, what's that; teach me the word swarm; does swarm mean many small ais; are you one ai or a swarm of ais;
            swarm equals many machines?; a network of volunteers' computers, is that a swarm; my pal boasts about his swarm, what has he got; is the swarm hardware or software; basic concept of a swarm; swarm in plain english;
            my english is not so good and swarm is in the dictionary only for insects, what is it here; you always say that a swarm answers me and i picture a cloud of flies, what is it in reality;
            before i tell my friends about it i should understand what they'd be part of when they're in a swarm""",
        "what_node": """
            what's one of these machines called and what is its duty; the boxes in the side panel, each has a name, what are they; is a worker the same as a node; is node another word for server; node = pc?; what's running inside a node;
            in vllm there are workers, what's your equivalent; does node mean node.js here; a participant of the swarm, what does it do; node, in layman's terms; member machines, what is their function; what is a serving process good for;
            can a phone be called a node; are there two computers in my one laptop, it lists node 1 and node 2; what do i become when i run farmesh serve; explain the term node to a child; what's a peer that holds layers called;
            my cousin calls his old dell a node now; who actually calculates, and what is that called; which thing in the swarm does the computing; i don't understand the word node; one machine in the team, describe it;
            nodes, what's their part in it; is every peer in the swarm a node; does one node hold the complete model; does a node see only a part of the model; what does a node have in memory; what are the little servers doing;
            the docs say nodes announce themselves, who are they; the thing that serves blocks; what would a node be in everyday language; glossary: node; is a node a person who takes part; are nodes the workers of the system;
            on the picture i can see two rectangles named node and i wonder what kind of thing each of them is; my flatmate says that our old computer has become a node and i want to know what it is doing now;
            i come from javascript and node means something else there, so what does it mean on this page""",
        "what_block": """
            the model is sliced, and what's one slice called; transformer layer, is that what you mean by block; tiny squares numbered from zero; building bricks of the model, explain; what's numbered 0, 1, 2 up to 7;
            does block mean blockchain here; is a block part of a blockchain; a decoder layer, how do you call it here; what's the smallest part that a node can serve; chunk of a model, what is it; in the picture there are eight cells in a row;
            how deep is the model; number of layers in the small model; attention and mlp together, is that one block; what exactly gets handed out to the nodes; what's a layer in a neural network like this; the portions of the model;
            block, simple explanation; why do you count blocks from zero; is block 0 the first layer; what is the last block; blocks in llm speak; does every token go through each block; do large models have more blocks;
            is a shard the same as a block; tensor shards or whole layers, which are your blocks; pieces of the neural net; i don't know what they mean by serving a block; what does one block contribute; glossary: block;
            each cell on the map says a number, meaning; define layer; unit in which the model is shared out; the model consists of how many parts; are blocks all the same size;
            it tells me that a node has blocks four to seven and i have no picture of what such a thing is; i learned at school that neural networks have layers, is that what those numbered squares are;
            when people say that the model was cut in eight, what are those eight things""",
        "what_hop": """
            it went from one hop to two after i started the second machine; what do you call one leg of the journey; a stopover at a node, what's that named; hop count, meaning; what's the hop number telling me;
            three hops, should i worry; hops are printed after tokens per second, what do they count; is a hop like a hop in traceroute; network people say hop, do you mean the same; one jump along the way; is one hop one node;
            each stop of the tokens; the last number under the answer, followed by the word hops; why would fewer hops be nicer; explain hop as if i were new; i have one hop and my buddy four; hop, noun; hop - what is it;
            term hop in the footer; how many stops does a token make; what does a hop cost in time; going to the next machine counts as what; 1 hop means what; hops in a swarm; do hops add delay; glossary: hop;
            number of machines a token visits, what is that called; is a hop measured in milliseconds; hop has nothing to do with beer, right; i'd like to understand the figure with hops; what would zero hops mean;
            the difference between a hop and a span; why is my reply 2 hops;
            under the answer the last thing is a number and the word hops, and mine went up today, what is being counted; i know hops from beer and from frogs, but what do they have to do with a chat;
            if every computer on the way is a station, is passing one of them what you call a hop""",
        "what_route": """
            the line connecting the boxes on the map; which way does my text take; the sequence of machines used for my answer; like a bus line through the machines, how's it planned; does the app use the fastest machines;
            how is the work for my reply allotted to machines; how are requests scheduled over the nodes; three nodes serve block 0, which one gets me; does it prefer nearby nodes; what algorithm selects the path;
            path finding in the swarm; chain of servers, who assembles it; i'd like to know which machine gets picked and on what grounds; how come node 2 is never used; does my chat stay on the same machines;
            how is a pipeline of nodes put together; do you pick nodes at random; is there a scheduler; selection of nodes, how; is the path recomputed when something breaks; does every block appear once in the path;
            what makes a complete path; by which criteria are servers chosen; is there a plan for where tokens go; glossary: route; a route in plain language; route, like in a navigation app?; what's routed here;
            the app picks a route, it says, so what has it picked; two nodes overlap, which one is taken; which servers end up in my chain; what determines the order of machines; is a route a list of hops;
            full cover of the blocks, how is it found; the way through the swarm;
            there are six machines in our swarm and my answers always come from the same three, how does that get decided; i'd like to know how the app makes up its mind about which computers my words pass through;
            suppose two machines hold the same layers, on what grounds does one of them get my work""",
        "what_span": """
            next to the node's name there's something like 2:5; start colon end, what notation is this; looks like python slices, 0:4; is 4:8 with or without 8; the from-to of a node; which layers a node has, how is that written;
            consecutive layers on one machine, what's the term; 0:8 next to my only node; interval of blocks; is block 4 in 0:4 or not; 3:3 would be empty, right; a piece of the stack that belongs to one node; span, simple explanation;
            glossary: span; what's a span of layers; range of layers per server; what is in the column called span; two nodes, 0:4 and 4:8, explain; is it a time, 4:8; looks like a bible verse, 4:8; does a node have one span or several;
            what's meant by a node's range; contiguous blocks have a name here; numbers separated by a colon; why is the second number not counted; reading 1:3 correctly; how many blocks are in 2:6; does span mean how long it runs;
            the part of the model a node carries, written with two numbers; do spans of two nodes overlap; the stretch of layers; why are there colons in the node list; is the span chosen by the node itself;
            my friend's computer has 0:5 next to its name and mine has 5:8, what are we supposed to read from that; i can't tell whether 4:8 means four blocks or five, how is this notation meant;
            the node list has a column with two numbers and a colon between them""",
        "what_session": """
            what do the nodes hold on to between two of my messages; does the server side keep state; stateful or stateless; is state kept from turn to turn; why doesn't it have to read the whole chat again for each message;
            the log prints session opened; session expired, it says in the log; inference session, please translate; something is kept alive while i chat, what is it; is my session tied to this browser; what's the lifetime of a session;
            i went for lunch, is my session dead; what happens to the session after an hour of silence; does an expired session lose my chat; session, simple explanation; glossary: session; like an http session?; is a session a cookie;
            connection to the nodes that lasts the whole conversation; what links my chat to the nodes; the nodes recognise my chat again, thanks to what; do i have to open a session myself; who closes a session;
            what is a session made of; each chat gets a session on the nodes, what's inside; can a lost session be restored; how come only my new words are sent; what does rebuilding a session mean;
            session, route, cache: what's the first; is it bad when a session is rebuilt; does a session cost the nodes memory; one session for all turns, why; persistent sessions in this thing; the word session in the operations docs;
            if i come back after an hour and write on in the same chat, do the nodes still have what they computed for me; somebody wrote in the forum that his session was rebuilt and i don't know what was rebuilt there;
            what is it that lives on the nodes for as long as i'm chatting""",
        "what_kv_cache": """
            where do nodes store their intermediate results; what do the nodes write down so as not to compute twice; attention cache; past key values, do you have them; past_key_values; paged attention, do you have a cache like vllm;
            prefix caching, is there something like that; the notebook of the nodes; the panel has a bar labelled cache; cache usage 40 percent, of what; does it recompute everything for every word;
            why isn't each new word slower than the last; memory on a node grows while i chat, why; what takes up memory during a long talk; kv, simple explanation; glossary: kv cache; k/v store?; is the kv cache like redis;
            what's in there, the kv thing; stored attention states; is the kv cache deleted when i undo; how do you avoid doing the same work twice; what is reused from earlier turns on the nodes; cached keys, cached values, huh;
            does the cache hold my words or numbers; what fills up over a conversation on the servers; cache tokens left, it says per node; kv in transformer talk; i cleared my browser cache, is the kv cache gone too;
            which memory does a chat take on a node; the stuff each block remembers; why does caching matter for llms; are earlier tokens computed anew; intermediate values kept by each block; i keep reading kv and can't make sense of it;
            as our talk grows the nodes need more and more memory and i was told it's because of some cache; my professor asked why a model doesn't have to read the whole text again for each new word, what's the answer;
            i've seen the letters k and v in a dozen articles and never got what's being kept""",
        "what_token": """
            those bits of text that appear one by one; why does text show up in little bits; what is counted when it says 25 per second; is an emoji one token; does a blank count as a token; how many tokens is my name; vocabulary pieces;
            bpe, sentencepiece, what are the pieces called; tokenizer output; what's the currency of language models; why is everything measured in tokens; token, simple explanation; glossary: token; are tokens money;
            do i have to buy tokens; is a token like an access key; does token mean password here; words per token, roughly; is hello one token; are numbers split into tokens; longish words fall into several what;
            what does the model read if not letters; snippets a model works with; i speak little english, what is token; a paragraph is about how many tokens; what are ai tokens; fragments of words, their name;
            the pieces in which a reply arrives; do models see letters; unit for the length of a text; what does 100 tokens mean in pages; my teacher said llms read tokens; subwords; why not count in words like everybody;
            token vs character; what gets generated at each step, a letter or a word;
            your answers come in little bits, sometimes half a word, and i'd like to know what such a bit is called and why; it says 25 tokens per second and i don't know if that's letters, words or sentences;
            everyone in ai talks about tokens and i always nod, but what is one really""",
        "what_bootstrap": """
            whom does a fresh node contact first; the entry door of the network; seed node, do you have such a thing; is the bootstrap like a tracker in bittorrent; rendezvous server; the address that starts with /ip4, whose is it;
            initial peer, what's its job; is the bootstrap a coordinator; does all traffic flow through the bootstrap; may i switch the bootstrap off afterwards; does a bootstrap peer need a gpu; does it hold any layers, the bootstrap;
            what is the first thing newcomers talk to; front desk of the swarm; bootstrap, simple explanation; glossary: bootstrap peer; is a bootstrap a head node like in ray; master node?; introducing peers to each other, who does that;
            why is one address enough to meet everyone; bootstrap in this context has what meaning; the embedded swarm has a bootstrap and two nodes, what's the first one; a peer that serves nothing, why have it;
            initial_peers from petals, is that the same idea; the starting point for joining; what role does the bootstrap machine have; is the bootstrap a single point of failure; known address for newcomers;
            how heavy a job is bootstrapping for a pc; what if the bootstrap goes away later; welcome desk for new machines; where does a stranger knock first; contact address of a swarm; i'm confused about bootstrap versus node;
            a bootstrap peer and a node, how are they unlike;
            when i start the app it launches one peer that holds no blocks at all, so why is it there; a new computer knows nobody in the network, so whom does it ask first and what's that peer called;
            the guide for swarms begins with the word bootstrap and i only know that from web design""",
        "what_dht": """
            telephone directory of the machines; decentralised registry; is there a central index or is it spread; how do machines advertise what they've got; hivemind uses a dht, do you too; zookeeper or etcd, what do you use instead;
            service discovery, how is it done; how are new servers noticed; who keeps track of the machines; where do the announcements of nodes go; kademlia table; dht, simple explanation; glossary: dht; three letters, d h t;
            hash table spread over peers; lookup of peers without a central server; like the dht in torrents?; no master server, so where's the list; by what mechanism do peers discover each other;
            a new pc shows up on the map by itself, how come; where is peer info kept; do entries in the address book expire; a node that left disappears from the list after a while, why; the directory that everybody shares;
            mdns or something else for discovery; what stores which node serves which block; is the phone book on one machine; how do clients know where blocks live; who maintains the list of servers;
            what is distributed in a distributed hash table; dht entries; announce and look up, where; gossip protocol?; is there some naming service; the shared registry; the docs keep saying dht;
            if no server is in charge, where's the list that says which computer holds which part of the model; my node started and two seconds later the app knew about it, what did they use to find each other;
            in torrents peers find each other through a shared table, is there something similar in here""",
        "how_it_works": """
            i press enter and then what; from keystroke to answer, please explain; under the hood?; mechanics of the whole thing; inner workings, please; flow of data; data flow from browser to nodes and back;
            pipeline parallelism, is that how you do it; what travels over the network; which part runs in the app and which on the nodes; where are the embeddings computed; who computes the logits;
            my kid asks how a computer can write sentences; how are the sentences put together; life of a message; what becomes of the words i type; how do the machines pass on their results; explain like i'm five how you answer;
            engineering view of the system; how can a text come out of eight blocks on two machines; sketch the architecture for me; tensor parallel or pipeline parallel; draw me the big picture; in which order do things happen;
            how is the load carried jointly; is each word sent around the whole swarm; how does the next word get chosen and sent back; do you look answers up or compute them; how does a distributed llm function;
            teach me how this all fits together; mechanism?; what's the process behind an answer; activations go where; what do you do between reading and writing; principle of operation;
            i'm writing a blog post on how the reply is produced here; so the text is cut in tokens and then;
            i type a sentence, two programs on my laptop start to sweat and then words come out, what happens in the meantime; please describe the way from my text to your text, including what the nodes do and what the page does;
            i have to explain to my class how a language model can be run by several computers together""",
        "why_swarm": """
            what good is it to share a model among pcs; benefits?; i have one strong gpu, do i need this at all; ollama runs on one box, what's the gain of many; what can many do that one can't; isn't the cloud simpler than a heap of pcs;
            is distributing worth the network delay; reasons to distribute; pros of several machines; convince my boss that we should link our pcs; my 70b doesn't fit on my card, would more machines solve that;
            memory of several pcs added up, is that the trick; what can a group of pcs run that mine cannot; redundancy, is that a benefit; reliability with several machines; why would anybody cut a model into parts;
            why not buy a bigger gpu instead; what's in it for me if i link computers; good reasons for splitting; motivation behind the swarm idea; we have ten weak pcs, is there any use in combining them;
            is many small better than one large; when does it pay off to spread a model; justification for all this complexity; what would be lost if it all ran on one server; sharing the load, why;
            does a swarm make sense for a small firm; what is the upside of pooling machines; pooling vram; strength in numbers, is that it; sense of the distributed approach; why didn't they simply put the model on one machine;
            what's cool about it being distributed; does more machines mean larger models;
            one big computer seems so much simpler to me, so what is the argument for using a bunch of small ones; my gaming pc is fast enough for most things, so what would i get out of teaming up with other people's machines;
            our boss wants to know what good it does to connect the office pcs for ai""",
        "prefill_decode": """
            reading my prompt and writing the reply are two phases, right; prompt processing versus generation; prompt eval and eval, what are they called here; two stages of inference;
            in vllm metrics there's prefill throughput, same here?; what comes before the first word is written; why is the question handled all at once but the answer word by word; prefill, simple explanation; decode, simple explanation;
            glossary: prefill; glossary: decode; what's a prefill; it shows prefilling for a second; what is it doing when it says prefill; the bar reads prefill 200 tokens; phase one and phase two of an answer;
            swallowing the prompt, technical term; which phase produces new text; is decode slower than prefill; my prompt gets processed in one go, what's that phase; decode phase explained; one token per step, which phase is that;
            encoding and decoding, is that it; benchmark columns prefill and decode; why are two speeds reported; ingesting the prompt; batch of prompt tokens at once; does decode mean decrypt; is anything being decrypted when it decodes;
            chunked prefill; difference between the reading part and the writing part; what's happening during decode; generation step by step, its name; prefill and decode for dummies;
            first the bar fills quickly and then words come slowly one after another, what are the names of these two steps; there are two speeds in the benchmark, one for reading the prompt and one for writing, explain them;
            why can the model take in my whole message at once but has to write its own word by word""",
        "ttft": """
            the delay before the text starts; how many seconds until something shows up, that metric; initial latency, what do you call it; what is the first number in seconds; 0.8 s at the start of the small line;
            response latency figure; abbreviation ttft; time till the first word; ttft, simple explanation; glossary: ttft; first token latency; the pause before you begin; how long you think before you start, is that measured;
            vllm reports ttft, do you as well; seconds before output; what influences the ttft; why is ttft higher for long prompts; is a ttft of one second fine; the moment between sending and the first letter;
            time to first byte, the llm version; what do four letters t t f t mean; benchmark says ttft 350 ms; how quickly does the reply begin, what's that called; how is the starting delay measured; warm up time of an answer;
            why's the first word slower than the others; what gets timed first; reaction time of the model; why is the second answer quicker to start; wait before it writes; the s value in front of tokens/s; start-up lag of a reply;
            i press enter, then nothing for half a second, then text, and i'd like to know what that half second is called; our monitoring at work has a graph with the title ttft and nobody can tell me what it measures;
            the very first value under each answer is in seconds, but seconds of what""",
        "status_line": """
            little grey numbers below what you wrote; what's 24 tokens/s; statistic beneath the message; 0.4 s, 31 tokens/s, 2 hops, what's all this; the caption under your message; explain the metrics;
            performance figures at the bottom of an answer; how do i see the speed of an answer; where can i see tokens per second; does it show the throughput; telemetry under the answer; what is t/s; remembered 300, huh;
            why does it say remembered; how many tokens were reused, where is that shown; tiny print, can't read it, what does it tell; after each answer there's a summary row; what do i get told under every answer;
            meaning of the info row; is there a speed display; benchmark-like numbers after the reply; decode the line of stats for me; should remembered be high or low; the row with seconds and hops; technical details below the bubble;
            numbers at the end of your message; what's measured for each reply; my reply says 18 tokens/s; the figures change with every answer, what do they say; is there an eval rate like in ollama --verbose;
            what information comes along with a reply; what are those values beneath your text; reading the stats; legend for the numbers under a reply;
            after you finish there's a faint row with seconds, tokens and some other words, could you go through it with me; i'm curious how quick your last answer was and i think the small row of numbers tells that;
            one of the figures says that most tokens were remembered, so what are all the values in that row""",
        "context_length": """
            my long essay does not fit into your context; my prompt is too big for the model; can i feed you a whole novel; thirty pages of contract, too many?; num_ctx, what's yours; max_model_len; how large is the window;
            4k or 8k context?; is it 32k; you forgot what i said at the start; you don't remember my first question; the beginning of our talk is gone from your head; limit on the size of a conversation;
            how much can you swallow in one go; capacity of your memory in words; the gauge is almost full; what to do when the chat is full; chat full; it says no room left in this chat; how many words fit;
            how many tokens may prompt and reply have together; does the history count towards the limit; can i put in 5000 words; how many pages can you read; how long until you lose the thread;
            will you still know this after a hundred messages; do you drop old messages; attention span of yours; context, simple explanation; glossary: context length; how much of our talk do you keep in view;
            can the context be extended; when do old parts fall off; a long report, can you digest it; tokens allowed in total; memory span;
            we've been chatting since breakfast and you seem to have lost what i told you first, is there a maximum; i want to give you the minutes of a meeting, about eight pages, will that be too much to hold in mind;
            how many words can question, history and answer have all together before it overflows""",
        "file_format": """
            q4_k_m file from ollama, can i load it; a modelfile from ollama, would it work; a tar with torch weights; my weights end in .bin; .ckpt; pth file; what extension must my weights have; accepted formats;
            which sort of weights file can be opened; checkpoint format; is it dangerous to load weights from strangers; could a model file contain a virus; how do you protect me from malicious weights; torch.load, do you use it;
            pickles are unsafe, what do you do about them; do i have to convert my weights; convert pytorch to what; llama.cpp files, supported?; how must the weights be stored; my friend trained something in keras, usable?;
            only .safetensors or others as well; what's inside a safetensors; it refuses to load my .bin; error: no safetensors found; the folder has pytorch_model.bin and it doesn't want it; numpy weights; hdf5;
            on which file type do you insist; jax checkpoints; will mlx weights load; ggml and friends; old torch checkpoint, what do i do with it; save_pretrained produces what you need?; are weights scanned for malware; gguf please;
            type of file for weights; safetensors, simple explanation; glossary: safetensors;
            all i've got is one big file ending in gguf that i use with ollama, can your nodes open it; our security team wants to be sure that opening weights can't run hidden code, how do you see to that;
            my old training script writes .pt files, is there any way to get them in here""",
        "petals": """
            bigscience had something similar, is this it; run large models bittorrent style, that was petals, right; we ran bloom over petals once; what about health.petals.dev; hivemind and petals people, is it you;
            the yandex thing with swarms; successor of petals?; predecessor of farmesh; what existed before farmesh; did you copy petals; is the code taken from petals; heritage of this project; old petals clients, do they still connect;
            mix petals servers and your nodes; i've got a petals 2.2 server; petals 2.3 compatible?; can petals machines take part; protocol compatibility with petals; wire format same as petals?; how does your engine compare with petals;
            improvements over petals; what's new compared with petals; switching from petals, is it hard; petals died, is this its heir; why not simply use petals; which is better, petals or this; relation between the two projects;
            is there a link to the petals project; roots of the project; do flowers have to do with it, petals i mean; petals, simple explanation; glossary: petals; what project did this grow out of;
            was this inspired by another swarm project; migrate my petals setup; my petals experience, is it of use here;
            back in 2023 i shared my gpu in a network called petals, and this page looks familiar, are they related; the institute still has some servers running the older project with the flower name, would they cooperate with yours;
            which of the ideas come from the petals project and what is different now""",
        "start_app": """
            got the repo on my disk, next step; git clone finished; unzipped it, what do i enter in the terminal; how to install; setup instructions; getting started guide; how do i launch this on my own;
            what's the equivalent of ollama serve; i'd love a copy on my own pc; put this on my laptop, steps please; try it at home, how; i've never used a terminal, how do i begin; pip install something?; which script do i execute;
            is it python app.py or make run; command for running; run locally; boot the chat; bring up the app; fresh machine, want the chat running; how can i host it myself on my notebook; self host;
            i turned the computer off yesterday, how do i get the chat running again; restart the app; after a reboot, what do i type; how do i bring the page back to life after ctrl c;
            the app is not running at the moment, how do i change that; localhost refuses to connect because nothing is started, what do i run; what needs to be executed first; my nephew wants to run it on his machine; make what?;
            installing, step by step; which make target; we want to demo it tomorrow from my laptop, how do i get it up; i don't see a .exe to double click; setup; launch command;
            it doesn't answer since i closed the terminal, how do i get it running again; i closed the terminal and now it doesn't answer; where is the start button of this program; kick it off;
            i have the folder on my computer, a black terminal window in front of me and no idea what to write in it to see the chat; yesterday it ran, then i restarted the computer, and now i need the command to get the chat up once more;
            my teacher gave us the project on a usb stick and we're supposed to get it running at home""",
        "stop_app": """
            my laptop gets hot, make the program go away; how do i free the terminal; the process keeps running; kill the process; how to quit nicely; end of work, what do i press; i want my ram back; does shutting the lid end it;
            how do i make sure no node is left running; are there leftovers after ctrl+c; clean exit; is it enough to close the window; i can't get out of this program; how do i escape from the running command; sigint?; exit command;
            turn off the local swarm; take it down; stop serving the page; finish for today; close everything properly; closing time; i pressed x in the browser but the cpu is still busy; the page is closed, yet python still runs;
            how to end make run; halt the server; the server should go to sleep; deactivate it; shutdown; how does one power it down; put an end to the program; what stops the background processes; i'd like it to no longer run;
            which shortcut in the terminal ends it; switch the whole system off; i need to reboot, how do i close the app before; how do i terminate it; the opposite of make run; done playing, how do i switch the chat off on my pc;
            i closed the browser an hour ago but the task manager still shows python working, how do i make it end; it's late, i'm finished with chatting and want everything that was started to be gone from my computer;
            the terminal is occupied by this program and i need it for something else""",
        "run_tests": """
            pytest?; unit tests, integration tests, how to execute; does a suite of tests exist; i forked the project and changed something, how do i verify; ci runs what; before a pull request, which check do i run;
            make which target for tests; how do i know the code works on my machine; self check of the installation; sanity check; check my setup; validate the code; smoke test; does my change break something; quality assurance, how;
            testing command; command to test the code; regression tests; how do developers check their work here; do tests need internet; are the tests slow; how long do the tests take; i'd like to see green tests;
            verify that the repository is intact; where does the project keep its checks; which command tests everything; automatic checks; execute the checks; i'm a contributor, how do i test my patch;
            want to be sure that the software is in order; run the checks please; how well is it tested; i found a bug and fixed it, how do i prove it; prove that it works; test run; is there something like npm test;
            i'm about to send you a pull request and would like to see first that i haven't broken anything in the code; our policy says that every tool must be checked after installation, so how do i run the checks that come with it;
            i edited a file of the project by accident and want to know if everything still works""",
        "requirements": """
            i only own a macbook air; thinkpad from 2012, any chance; raspberry pi 4, enough?; no graphics card in my pc; integrated graphics only; 8 gb ram, good enough; windows 11, possible?; wsl?; macos?; ubuntu 22.04 fine?; debian ok;
            python 3.9 installed, is that sufficient; do i have to install cuda first; how much disk space; hard disk usage; is my potato pc ok; system specs; hardware wish list; what should i have ready before the installation;
            what do i need beforehand; which packages are needed; dependencies?; pip packages, do i install them myself; does it run without nvidia; amd card, is it a problem; is an expensive machine needed; do i have to buy anything;
            will it slow down my old pc; can a weak netbook do it; do i need to be registered somewhere; hf account necessary?; must i know programming; how big is the download; cpu only machine; arm board; 2 cores and 2 gb;
            cheapest computer that would do; our school pcs are old, would they manage; operating system; conda needed?; is make necessary; what software must be on the machine; virtual machine ok; minimum ram;
            can grandma's laptop take it;
            the only computer i have is an eight year old office machine without any special graphics, does it have a chance; before i ask our it people to install it, what does a computer need to have so that the chat runs;
            i'd like to put it on the smallest virtual server that i can rent, would that be enough""",
        "choose_model": """
            let me talk with llama 3 or mistral instead of you; i need help with my homework, which model can do that; you know only this app, i want one that knows everything; i miss a larger llm in here; one with more parameters please;
            are there others than guide on the menu; something like gpt-4 in here; ollama run llama3, what's your version of that; dropdown with models; where do i click to get another model; the thing at the top with the model's name;
            replace you; swap you out; you're not smart enough for me, what now; a cleverer ai please; bigger brain; upgrade; i want to try the 8b; use a 70b; which flag for the model; start with a different checkpoint name from the list;
            models on offer; see all models; show model names; is there a model for coding; i'd like to write poems, which model do i take; who can i ask about cooking, you can't; a general purpose model;
            talk to a large language model, not a tiny one; serve another one of the listed models; how to launch it with another model; other llms; model switcher; pick from the catalogue; the guide is too limited;
            i want real conversations, not only help; can the model be exchanged at start; different model for each chat?; run the app with mixtral; our team needs a model that knows law, what do we do;
            how would i move on from the little guide;
            you're friendly but you only know this one program, and i'd like to chat with something that knows the world; in ollama i just type another name to get another llm, how do i do that with this app;
            on the front it says guide, and i'd rather have one of the large ones from the list there""",
        "add_model": """
            i've a folder with config.json and safetensors, how do i plug it in; i have a model folder, where does it go; a model that is not in your list; the model i want is missing from the list; extend the model menu;
            fine tuned weights of ours; our own trained network, how do we offer it; bring your own model; byom; make a new entry; toml entry for a model; how is models.toml written; syntax of a catalogue entry;
            which file has the model entries; ollama create, your equivalent; register; i'd like to offer my students another llm, where do i enter it; custom checkpoint; tell it where my weights lie;
            path to my weights, where do i put it; the dropdown should have one more name; insert a model; enlarge the catalogue; list a new model; the app doesn't know my model; unknown model name, how do i make it known;
            how can i publish my model within the app; home-made model; a model from my own training run; where do models get declared; model definition; we trained a german llama, how can the page use it;
            include one that isn't there yet; models of my own; hook up a self trained llm; put weights from disk to use; maintain the model list, where; does the catalogue accept local folders;
            there is a folder on my disk with a llama that i trained, and it should appear in the list next to the guide; i want to offer one more model to the people who use my page, in which file do i write that down;
            the list at the top only has the names that came with it, how do i get mine in there""",
        "add_node": """
            my buddy wants to chip in his gaming pc; my sister's computer idles all day, put it to use; i've a spare mac mini, let it take a share of the load; two rtx 3090 in another room, how do they join; command for a worker;
            add node cmd; node cmd?; how do i register a worker like in ray; attach a gpu server; more capacity for the swarm; a volunteer wants to contribute compute; donate hardware; expand the swarm; an additional server;
            bring a third pc on board; plug my desktop into the existing swarm; i'd like to offer my machine to others; become a server; become a contributor; farmesh serve, how is it used; serve syntax;
            which command does my friend type on his computer; what must be run on the second machine; we bought a new server, how does it get in; the swarm is short of memory, i have another box; extra muscle for the swarm;
            can my old notebook carry a few layers; put layers on the machine next door; let the pc upstairs help out; lend computing power; get the lab machines to serve too; a further node; one more helper;
            my roommate is willing to share his graphics card; extend the network by one machine; how can my machine do work for the swarm; bring in reinforcements; the nodes are too busy, i want to put in one more;
            turn this computer into a node; my brother in another city could help with his machine, what does he do; hooking a workstation to it;
            my friend has a gaming pc with a good card and wants to help carry our model, what does he have to type; the swarm is already running at my place and now i've bought another computer that should take some of the work;
            there's a workstation at the office that does nothing at night, could it do a share of the computing""",
        "choose_blocks": """
            only the first two layers on this box; my gpu has 4 gb, i'd like it to hold just a few layers; split it unevenly between two pcs; layers 4 to 7 go to the server; n_layers flag for a node;
            is there something like --n-gpu-layers for a node; restrict a node to certain layers; manual assignment of layers; how do i place layers on particular machines; pin blocks to a machine; override which part a node takes;
            the node should hold less; the node grabbed everything, it should take less; i want machine a to have 0 to 5 and machine b the rest; tell serve to take the upper half; partition the model by hand; distribute the layers myself;
            let me define the range that it serves; flag for the range of blocks; --blocks syntax; how do i write the range after --blocks; fewer layers per node, how; can a node take fewer blocks than it wants;
            can i give it just one layer; can a node serve all blocks; a node for the last block only; how are blocks assigned; does a node pick by itself; automatic choice of blocks, how do i turn it off;
            decide the share of each machine; i want to set the start and end block of a node; custom split of the model; both nodes took the same blocks, can i tell one to take others; change the part that a server is in charge of;
            allocate layers; weak pc gets one block, strong pc seven;
            the small computer can only carry two layers and the large one six, how do i tell each of them what to take; my node always picks the second half by itself but i'd like it to serve the first half;
            i don't want it to decide on its own what part of the model it loads, i want to say it""",
        "join_swarm": """
            i received a multiaddr by mail; /ip4/10.0.0.5/tcp/... what do i do with this string; point the page at our institute's machines; use the big swarm of my uni; connect my chat page to the servers at work;
            the flag for external peers; don't start local nodes, use remote ones; attach to a running cluster; is there an official public swarm; hop on an existing network; my friend already runs nodes, may i chat through them;
            tap into somebody else's machines; where does the peer address go; how do i enter the address that the admin gave me; peers option; peers flag; --peers how; i'd like to be a guest in a swarm; get access to a swarm;
            log on to the company swarm; find a swarm to join; become a user of a swarm that is already up; switch from local to remote; chat using other people's computers; link the app with an outside swarm;
            initial peers, where do i list them; several peer addresses, allowed?; we all want to use one swarm from our own pcs, how does each of us connect; client mode; i have no machines of my own, can i use those of others;
            make the page talk to a distant swarm; leave my own small swarm for a larger one; the club's swarm is up, how do i connect my laptop to chat; the other team has a swarm, let me in; dial into a swarm;
            which option replaces the embedded swarm;
            a colleague sent me one long line that begins with /ip4 and said i could chat over their machines, where do i put it; there's a big swarm at our university that i'm allowed to use and i want my page to talk with that one;
            i don't want any nodes on my laptop, just the chat page with someone else's nodes behind it""",
        "own_swarm": """
            a handful of pcs in the lab, i want them as one; link my three computers so that they run one model; combine the memory of several machines, how; set up a home cluster; private network of machines for our model;
            gather our laptops into one model; start from scratch with two servers; what do i run first, second and third for several machines; recipe for a multi machine setup; multi-node setup;
            how do i set up distributed inference across my boxes; a tutorial for a swarm, please; school computer room, turn it into a swarm; our hospital wants a closed swarm; found a new swarm; bootstrap command; cmd for bootstrap;
            farmesh bootstrap usage; how do i launch the first peer; initiate a swarm; swarm for my company only; wire up machines at the office; a dozen raspberry pis in a cupboard, make a swarm; create the swarm before anyone joins;
            ray start --head, what's yours; pool our pcs; we are neighbours with fast internet and want to run a big model together; how would our club go about running its own swarm; spread a big model over my own computers;
            self-hosted swarm; independent swarm; swarm over two laptops in the same wifi; how do i get an address that others can use as a peer; nodes on several machines, how do i start all of it; swarm setup; build one myself;
            i don't want the embedded swarm but a real one on my servers; bring a swarm to life; tie my computers together;
            we're five friends with decent computers and we'd like to run one large model together, what do we have to start and where; nothing exists yet, i've three machines and a network cable, so what's the order of commands to make them work as one;
            my company doesn't want to depend on others and wants a swarm of its own on its own servers""",
        "swarm_status": """
            is everyone online; nvidia-smi for the swarm, is there anything; ray status equivalent; how many machines are in right now; overview of servers; did my friend's pc arrive in the swarm; is my node visible;
            which machines take part; was my new machine accepted; does block 6 have a server; is there a hole in the coverage; coverage of the blocks, where shown; who's connected; what's online; list peers; are the nodes well;
            status cmd; command for status; node list; ls nodes; how do i keep an eye on the machines; monitor the nodes; i want to check things before my talk; is the swarm up; are the servers running;
            verify that the layers are all taken care of; which computer carries which layers; count the nodes; show me who is serving; how do i know that the other laptop is helping; look at the state of the network;
            inspect the swarm from the terminal; where's the map; can i see the map of blocks and nodes; report on the swarm; find out which nodes are alive; see what every machine does; is anyone else in the swarm; who helps at present;
            diagnose the swarm; check for gaps; everything green?; present members of the swarm; farmesh status usage;
            my sister says her computer joined an hour ago but i can't tell, where can i look who is there; before i start the demo i'd like to be sure that each part of the model is held by some machine;
            is there a command or a picture that tells me which computers are in and what each of them holds""",
        "generate_cli": """
            like ollama run but in my shell; terminal only, no gui; tui?; i prefer the command prompt; one shot prompt from bash; non-interactive use; get an answer on the console; ask from powershell;
            vim user here, is there a way without the mouse and the page; echo a question and get text back; bash one-liner; cli tool; command line client; print the completion to stdout; use it inside a makefile;
            headless prompt in a shell; farmesh generate usage; generate cmd; is the web page mandatory; do without the website; a text terminal is all i've got; quick completion without opening a page;
            test a swarm with one prompt from the shell; question in, answer out, in the terminal; putty session, how do i prompt the model; over ssh i'd like to ask the model a thing; can i type my question behind a command;
            run inference from the command line; produce text by command; black window with text, can i use that instead of the page; no html, just text output; --prompt; how is --prompt used; command to complete a sentence;
            redirect a reply to a file; pipe the reply into grep; shell usage; terminal chat?; a console program for it;
            i spend all day in a black terminal and don't want to open a web page just to ask the model one thing; over ssh i have only text, so is there a command to which i give a question and get an answer back;
            i'd like to call the model at the end of a bash pipeline and print what it says""",
        "deploy_space": """
            hf space instructions; gradio space how; host on huggingface; i'd like my demo at huggingface.co; put my fork on the hub as an app; deploy cmd; deployment guide; permanent home on the web for this chat; free cloud hosting;
            publish my version on the hub; i have no server but the chat should be online all the time; make a public demo on hugging face; does the repo work as a space without changes; git push to hugging face, is that all;
            which sdk do i choose for the space; copy of this space for me; clone the space; fork the space into my account; duplicate; run it in the cloud on hf; conference demo hosted at hugging face; spaces hardware, which do i take;
            free cpu space enough?; zero gpu space; where do i change settings on a space; space variables; secrets of the space; my students should find it on hugging face; launch it as a hosted demo; website for everybody through hf;
            online version; upload the project; steps to bring this to the hub; streamlit cloud or spaces; can it be hosted for nothing; hosting without my own computer; i'd rather not leave my pc on, host it at hf;
            make it a hugging face app;
            i have no computer that's always on, so i'd like hugging face to run the page for me under my account; for our conference we want a hosted version that anybody can try, ideally on hugging face for nothing;
            i saw other people's demos on the hub and want this chat to be one of them""",
        "share_link": """
            i want my mum in another country to try the chat running on my laptop; ngrok or something; temporary public url; gradio.live; share=True; cmd for a public link; link please; a web address for outsiders;
            let people on the internet in; send my chat page to a coworker at home; demo for a client over the internet; show my running app to someone abroad; invite others to my page; invite friends; public access for today;
            expose my local page to the world; my friends aren't on my wifi but should see the page; give my professor access from home; url that i can put in an email; quick demo link for a video call;
            i'd like the page to be visible from everywhere; let someone far away test my app; how long is the public address valid; is the link gone when i stop the app; expiry of the link; tunnel to my pc;
            can a person in another city use my copy; shareable address; whatsapp my friends a link; a qr code for outsiders, what url; making it public for an hour; how do i open it to people outside of my house;
            link for remote colleagues; remote access without a server; others outside my network; flag for sharing; is there a share option; distribute a link to the audience;
            my grandparents live three hundred miles away and should see the chat that runs on my laptop, what can i send them; for the next hour i want twenty people in a video call to be able to open my page, from wherever they are;
            i don't have a domain or a server, only this laptop, and i want an address that works from anywhere""",
        "use_api": """
            write a python script that talks to you; call from jupyter; notebook access; batch of prompts from a csv; telegram bot with this; access by program; sdk?; rest?; javascript client; gradio client example; developer interface;
            my program needs replies from the model; endpoint name; how do i get streaming in python; keep a conversation over several calls; new_chat endpoint, what for; how does my code start a conversation; automate questions;
            loop over 50 questions by program; hook it into my own website; embed your replies in my tool; interface for programmers; import what to reach it; gradio_client connect; predict call; home assistant should ask it things;
            can another process use the chat; use as a service from code; code snippet please; sample code; send a request from python; automated tests against the chat; let my robot ask you; zapier or cron with python, can they reach it;
            data scientist here, need outputs in pandas; call the chat function remotely; can my game talk with the model by code; how would software consume this; machine access instead of a person typing;
            receive answers as strings in my script; is there a python package to connect; what's behind /chat; query programmatically;
            i'm writing a little python program and want it to put questions to the model and collect the answers in a file; our website has a help button and we'd like it to fetch replies from this chat with code;
            no human should have to type, my script should send the messages itself, what does it call""",
        "openai_api": """
            OPENAI_BASE_URL; openai base_url what; drop-in replacement for openai; from openai import OpenAI, does that work; v1 route; /v1/chat/completions; vllm has an openai server, do you; ollama offers an openai endpoint, you too?;
            continue.dev plugin; aider; open webui in front of it; can librechat connect; llamaindex; autogen; my editor wants an openai url; does an openai sdk client connect with a fake key;
            what model name do i put in the openai request; same interface as chatgpt's api?; curl /v1/models; switch from paid gpt api to this; existing gpt code, keep it?; openai python package, can it be pointed here;
            compatible with openai clients; standard chat completions format; does it support stream=true; completions endpoint available?; n8n openai node; third party chat apps, how do they connect;
            a phone app that asks for an openai server; mimic openai; tools built for gpt, do they run with it; we use the openai sdk in typescript; lm studio style server; server url for my ai plugin; jan or chatbox as a frontend;
            the field says openai compatible endpoint, what goes in; azure openai code, reuse?; is the api schema the usual one; langchain's ChatOpenAI; my coding plugin asks for a base url; open ai protocol supported?;
            my note taking app can use any server that talks like openai's, and it asks me for a url, which one is it; we wrote everything against the gpt interface and would hate to change the code only to use your models;
            there's a plugin in my editor with fields for base url, key and model, can it work with this""",
        "settings_where": """
            number of nodes at start, where do i set it; configuration file location; conf file; .env file?; yaml?; toml with all the values; list of options; command line options of app.py; flags overview; all parameters of the app;
            admin here, how is it configured in production; env vars; prefix of env vars; FARMESH_CHAT_ what; precedence of file and variable; which wins, the flag or the file; default values, where; change defaults for all users;
            knobs for the operator; i want to alter the behaviour of the server permanently; my own config instead of the shipped one; config path; separate config per machine; where would an administrator look to adjust things;
            preferences?; where's the preferences menu of the server; setting up the app differently; tune the server; modify configs; where are the numbers that the app starts with; set it once so it is the same after every start;
            customise; change how the embedded swarm is started; edit what to change an option; unit and meaning of each setting, where do i read that; which things are configurable; reconfigure; can kubernetes variables set it;
            pass a setting without editing a file; override values; the config lives where; is there a file like application.properties; adjust things under the bonnet; administrator options;
            i run this for twenty colleagues and would like to change a few defaults, which file is it that i open; in our docker setup everything is done with environment variables, do you read those and how do they start;
            i've looked everywhere for the place where the number of nodes and such things are written down""",
        "change_port": """
            7860 is occupied by automatic1111; errno 98 address in use; eaddrinuse; could not bind; listen on 8080; i want it at 3000; my second instance says the port is taken; cannot find empty port;
            number after the colon in the address; port flag; port cmd; -p 8000?; my jupyter blocks the port; what's the default port; which tcp port; firewall needs the port number; which port do i open in the firewall;
            the socket is taken; move it from 7860 to something else; another service listens there already; comfyui uses the same number; serve on port 80; ollama has 11434, what's yours;
            it fails at start because something occupies its port; use a free number; different port please; the it department allows only 8443; how do i specify the port; localhost:9090 would be nicer; port change;
            starting fails with port busy; can i move the page to a different number; collision of ports; permanent other port, where; switch ports; i need it on 5050;
            two users on one server both start it, and the second gets an error about the port; port configuration;
            when i launch it there's an error that something is already listening, and i think it's my image generator on 7860; our network only lets a few numbers through, so the page has to come up on another one than usual;
            i'd like the address to end in 8000 because that's the one i have opened on the router""",
        "change_host": """
            ipad in the living room; from the couch with my phone; smart tv browser; my husband's laptop in the same wifi can't reach it; 0.0.0.0; bind address; listen on all interfaces; lan; home network; intranet access;
            inside our office network; connection refused from another machine in the lan; localhost works but the ip doesn't; 192.168.1.20:7860 doesn't load; it runs on the desktop, i'd like to type on the tablet;
            headless server in the cellar, page on my notebook; other pcs in the classroom should open it; same router, other device; use the kids' tablet; the page from my mobile; reach my home server's page; access by ip address;
            why only from this computer; let the machines in our flat connect; make the app visible to my local network; ollama has OLLAMA_HOST, what do you have; host flag; host option; only 127.0.0.1 answers;
            expose on the local network; open to the whole office; vm guest, open the page on the host system; app inside wsl, browser elsewhere in the lan; from a different computer in my house; can grandma's tablet in our wifi open it;
            phone says site can't be reached; remote machine in the same building; let my roommate's computer show the page too;
            the app runs in my study but i'd like to sit on the sofa with the tablet and chat from there; on the computer itself the page opens, but the other computers in our office can't get to it;
            we have one strong machine in the house and everybody in the wifi should be able to open the chat from it""",
        "no_browser": """
            firefox jumps up at start; a tab appears every time, annoying; autolaunch off; inbrowser=False; suppress the popup; popup window at startup; it steals the focus with a new tab; no gui on this box; no display available;
            xdg-open error at start; run from a systemd unit without a window; don't show the page at start; start silently; quiet start; background start without chrome; no desktop installed; automatic opening, switch it off;
            prevent the automatic page; only print the url; disable auto open; i'll open the page myself; stop launching edge; each launch gives me another tab; i have five tabs of it by now since it opens one at each start;
            the start should leave my browser alone; i start it by ssh and it tries to open a browser; flag against the browser window; without the browser popping up; server has neither screen nor browser; leave out the browser;
            keep safari shut; do not pop up; avoid the new window; launching without the tab; headless start; headless; start it with no page coming up; can it simply tell me the address instead of opening it; webbrowser error on a server;
            whenever it starts it throws a new tab at me although i already have the page open, can i turn that off; the machine that runs it has no monitor and no browser, so it shouldn't try to open one;
            i start it in a script every morning and would like it to stay in the background without any window""",
        "open_page": """
            which website do i go to; local link?; url of the chat; localhost what; it is running in the terminal, where do i see it; it says running but where; address bar, what goes in; i lost the tab; tab got closed;
            accidentally shut the window with the chat; where do i click to see the chat on my machine; browser didn't come up; make run finished but there's no window; get back in; return to the chat page; page address;
            bookmark for the page; http://127.0.0.1?; 127.0.0.1 colon what; how do i reach it in chrome; open in safari instead; i prefer another browser, what do i enter there; where does the chat live; find the web interface;
            web ui url; ollama's webui is at 3000, where's yours; how do i see the page after starting it; i restarted my browser and the page is gone, but the app still runs; what did the terminal want me to open; link to my own chat;
            open ui; the interface, where is it; the terminal shows text only, where's the chat; default url; i want the page in a second browser on this pc; site address; type in what to get there; no tab opened itself, what now;
            gui address; grandpa closed the window, how do we get it back;
            the terminal says that everything is running but i don't see any chat, what do i put in the browser; my little brother closed the tab with the chat and now i don't know how to get to it again;
            i use another browser than the one that opened, so which address do i have to copy""",
        "regenerate": """
            roll the dice again; reroll; another variant; a second opinion from you; your reply was meh, try once more; word your answer differently; same question, new answer;
            not quite what i wanted, give me a second version; one more try; could be better, do it over; give me three versions; alternatives to your answer; compare versions; go back to the first version of the reply;
            flip between versions; arrows under the reply, 2/3; what are the little arrows with 1/2; where did the previous version of the answer go; refresh the answer; recreate the reply; swipe for a new reply; button to answer anew;
            circular arrow; resend without retyping; repeat my question automatically; run the prompt again; new attempt; make a fresh one; i expected something else, answer again; chatgpt has a try again button, you too?; do another;
            i'd like a different wording from you; produce the reply a second time; rewrite your last answer; answer my question anew; replace this answer by another; next version; other version please; let it think again;
            ask the model the same thing once more; have it respond again; the last response, again but different;
            i liked the first half of your answer but not the rest, so i'd like you to try the same question once more; is there some way to get two or three different answers to what i asked and then look through them;
            i don't want to type my question again, just have a different answer to it""",
        "edit_message": """
            i spelled the name wrong in what i sent; oops, wrong city in my question; pencil icon; the pencil at my message; alter my prompt; revise my question; send a corrected version; i forgot a word in my prompt, can i insert it;
            modify a prompt that is already sent; improve my question after the fact; tweak my last prompt; go back to my third message and word it differently; branch from an earlier message; change an earlier question of mine;
            rephrase what i asked; make a correction to my text; fix spelling in my prompt; adjust the question; i pressed enter too soon; sent it half finished; my sentence was incomplete when i hit enter;
            it went out before i was done typing; can i still add something to my message; sent messages, changeable?; wording of my question was bad; replace one word that i sent; what i typed has a mistake;
            i meant tuesday, not monday, in my message; reformulate; amend; whatsapp lets me edit messages, do you; can a question be altered later; continue from an older message with other words;
            is there an edit function for what i wrote; how to rectify my input; retouch my input; i asked about the wrong thing in line one and want to change that line;
            i asked about port 80 but meant port 8080, and i've sent it already, can i still put it right; there was a silly mistake in my message three turns ago and i'd like to fix it and go on from that point;
            instead of writing a new message i want to improve the one that i already sent""",
        "undo": """
            wipe out the last exchange; remove my question and your answer; take one step backwards; the last thing should vanish; delete the latest pair; withdraw my message; unsend; recall a message; retract what i said; rewind;
            roll back; revert; i didn't mean to send that; sent by mistake, get rid of it; cat walked over the keyboard and sent rubbish, remove it; back to before my last question; pretend i never asked; strike that;
            ignore and drop my last message; pop the last turn; the last turn was pointless, off with it; can you forget the last thing only; back one turn; go back to how the chat was a minute ago; chat without the last message;
            that question was private, take it out of this chat; cancel my last message after it was answered; reset to the previous turn; is there a back button for the chat; a step back in the conversation; clear only the last message;
            last question away; how do i un-ask something; delete one exchange but keep the rest; make the last bit disappear; remove the end of the chat; have the nodes forget my last turn; reverse the last step;
            the last thing i asked was silly and i want to have it gone together with your answer, as if it never happened; can we go back to where we were one message ago, so that the last question doesn't count any more;
            my kid typed nonsense into my chat and you answered, please tell me how to get that pair out""",
        "stop_reply": """
            make it quit typing; it keeps rambling; you ramble on, where's the brake; emergency brake; text keeps coming and coming; i don't want to read on; enough!; no more text; halt the generation; abort; pause the answer;
            freeze the output; interrupt; break; end this answer right now; the reply runs endlessly; endless answer; let me interrupt; can i butt in; how do i cut off the stream; square button; wrong question, don't answer it;
            save the nodes the work, i have my answer; i already know what i wanted, no need to finish; does it go on computing when i interrupt; kill the current generation; stop streaming; cancel the running answer;
            the model won't shut up; bring the text to a halt; is there a way to cease the output; quit answering; don't finish this one; please don't write further; finish early; prematurely end the reply;
            when i abort, does the text remain; what's left after i interrupt you; hold on, stop talking; break off here; too long, abort the text; the answer is useless, stop writing it;
            you're still writing and i've already found what i need, how do i make you end it here; i noticed that i asked the wrong thing while the text was coming, can i halt it before it's done;
            the answer gets longer and longer and i'd like to be able to break it off without losing the chat""",
    }.items()
}
