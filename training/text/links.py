# ruff: noqa: E501 - lists of phrases read better unbroken
"""Follow-ups that lead from one topic to another: short, and clear only by the turn before."""

from training.text.phrasings import split

# topic -> topic that a follow-up leads to -> the ways to ask
LINKS: dict[str, dict[str, tuple[str, ...]]] = {
    source: {to: split(text) for to, text in targets.items()}
    for source, targets in {
        "what_app": {
            "start_app": "and how do i start it; how do i get it to run; how can i have it on my computer; ok and how do i run that myself",
            "what_farmesh": "and what is farmesh then; what is the farmesh in the name; which engine is behind it",
            "cost": "is it free; what do i pay for it; and does it cost something",
            "how_it_works": "how does it do that; and how does that work inside",
        },
        "what_farmesh": {
            "how_it_works": "how does it do that; and how does it work; how does that function",
            "petals": "is that like petals; isn't that what petals does; how is it different from petals",
            "start_app": "how do i try it; and how do i start it",
            "licence": "is it open source; under which licence; may i use it at work",
        },
        "what_swarm": {
            "join_swarm": "can i be part of one; and how do i get into one; how do i connect to one; where do i sign up for one; can my app use such a thing",
            "own_swarm": "can i make one; how do i build one; and how do i set one up; how would i found one; i want to have one of my own",
            "swarm_status": "how do i see who is in it; can i see who is there; how do i check on it",
            "public_privacy": "can the others read my text; is it safe if strangers are in it",
            "what_node": "what are they made of; who are its members; and the single machines, what are they called",
        },
        "what_node": {
            "add_node": "how can i start one; i want to run one; can i have another one; can my pc be one; how do i make one; how do i become one; could i set one up at home",
            "node_lost": "what if one of them dies; and if one is lost; what if it crashes; and when it goes away",
            "choose_blocks": "who decides what it holds; can i tell it which blocks to take; which blocks does it take",
            "swarm_status": "how many are there now; can i see them; how do i list them",
            "gpu_node": "can it use a gpu; does it need a gpu; will it take my graphics card",
            "relay": "what if it is behind a router; can it be behind nat; can it run at home behind a router",
        },
        "what_block": {
            "choose_blocks": "can i pick which ones a node serves; how do i choose them; and how do i assign them",
            "missing_node": "what if one is missing; what when nobody has one of them; and if there is one that nobody serves",
            "what_span": "and several in a row; what is a row of them called; what do you call a range of them",
            "quantize": "can they be made smaller; do they fit into less memory",
        },
        "what_session": {
            "what_kv_cache": "what does it keep; what is kept in it; and what do the nodes hold for it",
            "node_lost": "what if it breaks; what happens to it when a node goes",
        },
        "what_kv_cache": {
            "context_length": "how much fits into it; how long can it get; is there an end to it",
            "undo": "can i cut it back; what if i take a message back",
        },
        "what_token": {
            "context_length": "how many of them can you see; how many fit; what is the most of them",
            "max_new_tokens": "how do i limit them; can i cap their number in a reply; how many will a reply have",
        },
        "what_bootstrap": {
            "own_swarm": "how do i start one; which command makes one; can i run one; how do i get one",
            "join_swarm": "and how do i use one; where do i give its address; what do i do with its address",
        },
        "what_hop": {
            "slow_reply": "do many of them make it slow; is it slower with more of them",
            "what_route": "and all of them together; what are they called together",
        },
        "what_route": {
            "what_hop": "and one step of it; what is a single step of it called",
            "node_lost": "what if a part of it fails; and if somebody on it goes away",
        },
        "start_app": {
            "stop_app": "how do i end it afterwards; and to quit; how do i close it when i'm done",
            "change_port": "on another port please; can it use a different port; what if the port is taken",
            "open_page": "and then where do i look; where does it open; what address does it have",
            "requirements": "what must i have for it; does my laptop do; do i need anything special for that; is a gpu needed for that",
            "choose_model": "and with another model; can i start it with a larger model; with a different model, how",
            "no_browser": "without the browser please; can it leave my browser alone",
            "containers": "and in docker; as a service, how; can it run in a container",
            "settings_where": "where do i configure it; and the settings",
        },
        "stop_app": {
            "start_app": "and how do i start it again; how do i bring it back; and then to get it running again",
            "my_chats": "are my chats lost then; will my chats be there afterwards",
        },
        "choose_model": {
            "add_model": "how do i put my own there; what if mine is not in the list; can i extend that list; mine isn't listed",
            "hub_models": "can it be from hugging face; can it be one from the hub; and straight from hugging face",
            "requirements": "does my computer need more memory for that; what machine do i need then",
            "families": "which kinds can it run; which architectures work",
        },
        "add_model": {
            "choose_model": "and how do i use it then; how do i switch to it; how do i talk to it afterwards",
            "file_format": "in what format; which format must it have; does it take gguf",
            "hub_models": "can it come from hugging face; what if it is on the hub; can i just name it",
            "lora": "and my lora; can it have an adapter; what about adapters",
        },
        "add_node": {
            "choose_blocks": "which blocks does it get; and if i want certain blocks; can i say which part it serves",
            "swarm_status": "how do i see that it joined; how can i tell that it works; is there a way to check it",
            "gpu_node": "will it use the gpu; on the graphics card please; and on a gpu",
            "relay": "it is behind a router; what if it can't be reached; it sits behind a firewall",
            "quantize": "it has little memory; what if the blocks don't fit; can it use less memory",
            "stop_app": "how do i take it away again; how do i stop it then",
        },
        "join_swarm": {
            "public_privacy": "is it safe; can they read what i write; how private is that; may i trust them",
            "own_swarm": "what if i have none; and to found one; how would i make one of my own",
            "swarm_status": "how do i see who is in there; how can i check who serves it",
            "gateway": "what if i can only use https; and through another page; is there a way without ports",
        },
        "own_swarm": {
            "add_node": "and one more machine; how do i get more machines in; how does a friend add his computer",
            "swarm_status": "how do i see that it works; can i check that all blocks are there; is it complete, how do i tell",
            "join_swarm": "and how does the page use it; how do i chat with it then; how do others get in",
            "relay": "one of them is behind a router; they can't reach each other",
        },
        "deploy_space": {
            "space_ports": "can it reach my own nodes; what about my swarm at home; can it use a swarm elsewhere",
            "gateway": "the nodes are at home, what now; can it use the page i run at home",
            "sign_in": "can everybody use it then; how do i keep strangers out of it",
            "settings_where": "how do i set things there; where do its settings go",
            "cost": "is that free; does it cost anything there",
        },
        "share_link": {
            "link_password": "which password; what is the password; can i leave the password out; who can get in; is it protected; do they have to log in",
            "share_fails": "no link came; it prints none; i got no link; nothing happens; that failed; it couldn't get one",
            "change_host": "and only at home; just for my own network; only for my phone",
            "privacy": "who can read that; is it private; can gradio read along",
            "deploy_space": "and for good; i want one that stays; what if i want it to last longer",
        },
        "link_password": {
            "sign_in": "can each of them have a login; and one for everybody by name; what about user names",
            "share_link": "when does the link end; how long will the link be there; and the link itself, how do i get it",
        },
        "use_api": {
            "openai_api": "does it work with openai's library; and with langchain; is it openai compatible",
            "api_keys": "do i need a key; which key does it take; can everybody call it; is there a key for it",
            "mcp": "and mcp; does it do mcp too; can an agent call it",
            "limits": "how many calls may i make; is there a limit",
        },
        "openai_api": {
            "api_keys": "which key do i enter; do i need a key for that; and the api key; what do i put as the key",
            "open_page": "what's the base address; which address is that; on which port is that",
            "use_api": "and without openai; is there gradio's own way; from python without openai",
        },
        "settings_where": {
            "change_port": "and the port; how do i set the port there; which one is for the port",
            "sign_in": "is there one for a password; and for signing in",
            "docs": "where are they explained; is there a document about them; where can i read about them",
        },
        "change_port": {
            "open_page": "and where is the page then; what's the address now",
            "change_host": "and for other machines; how do others reach it; can my phone open it",
        },
        "change_host": {
            "sign_in": "can i protect it; how do i keep others out; everybody in the house can use it then",
            "change_port": "on a different port; and the port",
            "share_link": "and from far away; what about people outside; from the internet too",
            "proxy": "and with a domain; how do i get https there",
        },
        "open_page": {
            "change_host": "can i open it on my phone; and from another machine; does it work from my tablet",
            "change_port": "can the number be another; and on port 8080",
        },
        "my_chats": {
            "export_chat": "can i get one as a file; how do i save one; can i take them to another browser; and to download one",
            "privacy": "who can see them; are they private; does anybody else see those",
            "two_tabs": "and a new one; how do i begin another",
        },
        "export_chat": {
            "my_chats": "and where do i find the others; where are the old ones; where is that list"
        },
        "temperature": {
            "temperature_value": "what should it be; which value is good; what do you recommend; how high; what is a good number; what do people use; how should i set it",
            "top_p": "and top-p; how about top p; what about the other one, top-p",
            "seed": "how do i get the same reply again; can it be repeatable",
            "presets": "is there a ready made choice; can i save that",
        },
        "top_p": {
            "top_k": "how does that differ from top-k; what about k",
            "temperature": "and temperature; what about the temperature",
            "min_p": "and min-p; is min p the same",
        },
        "top_k": {
            "top_p": "and top-p; what about p; how does that differ from top-p",
            "temperature": "and temperature; what about the temperature",
        },
        "min_p": {
            "top_p": "and top-p; is that not top p",
            "temperature": "and temperature; and the temperature",
        },
        "sampling": {
            "temperature": "what is the first one; which one matters most; and the temperature",
            "presets": "can i set them all at once; is there something simpler; can i keep my choice; how do i save them",
            "seed": "how do i make it repeatable; how do i get the same text again",
            "repetition_penalty": "which one is against repeating; what stops it from looping",
        },
        "presets": {
            "sampling": "and the single controls; what do the controls do; what do they change",
            "temperature": "and the temperature",
        },
        "repetition_penalty": {
            "no_repeat_ngram": "is there something stricter; and to forbid it altogether",
            "presence_penalty": "and the presence penalty",
        },
        "max_new_tokens": {
            "cut_off": "my reply stopped because of it; how do i get the rest then",
            "stop_strings": "can it stop at a word; and to end at a certain text",
        },
        "missing_node": {
            "add_node": "how do i start one then; how do i serve it; which command serves it",
            "swarm_status": "which one is missing; how do i see which; how do i find out who is there",
        },
        "node_lost": {
            "missing_node": "and if nobody else has its blocks; what if there is no other; and when no one takes over",
            "swarm_status": "how do i see that; how do i notice it",
        },
        "slow_reply": {
            "add_node": "how do i add a machine; would another machine help, how; and to get more nodes",
            "max_new_tokens": "how do i make replies shorter; and to shorten them",
            "gpu_node": "would a gpu help; and with a graphics card",
            "choose_model": "how do i take a smaller model; and a different model",
        },
        "bad_reply": {
            "choose_model": "how do i get a better one; how do i pick a larger one; which one is better",
            "regenerate": "can you try again; another try please; do it once more",
            "temperature": "how do i lower it; where is the temperature",
        },
        "cut_off": {
            "max_new_tokens": "how do i raise it; where is that limit; and how do i make it longer"
        },
        "privacy": {
            "public_privacy": "and when i join others; and in a swarm of strangers; what if the nodes are not mine",
            "logs": "is it in the log; what does the log have",
            "my_chats": "and where are my chats; who keeps my chats",
        },
        "public_privacy": {
            "own_swarm": "how do i make my own then; and how do i get a private one",
            "privacy": "and by default; and with my own nodes",
        },
        "about_model": {
            "choose_model": "can i have a larger one; how do i talk to another one; and a smarter one"
        },
        "sign_in": {
            "api_keys": "and for programs; what about programs; do scripts need something too",
            "link_password": "just one password for all; can guests share one password",
            "my_chats": "where are their chats kept",
        },
        "api_keys": {
            "use_api": "how do i call it then; and an example of a call",
            "limits": "how many calls does one get; can it be limited",
        },
        "gpu_node": {
            "quantize": "it has too little memory; what if my card is small; can it take more blocks",
            "add_node": "how do i start it; and the command for that",
        },
        "quantize": {
            "gpu_node": "does that need a gpu; and on the cpu",
            "hub_models": "and where do i get the weights",
            "lora": "and with adapters; does a lora work with it",
        },
        "hub_models": {
            "quantize": "it's too large for me; can it be smaller in memory",
            "file_format": "any format; what if it is not safetensors",
            "add_node": "and how does a node serve it; which command serves it",
        },
        "gateway": {
            "deploy_space": "and on a space; how does the space do it",
            "privacy": "can they read my text; who sees my text then",
        },
        "relay": {"add_node": "and what do i type to start it; what is the whole command"},
        "containers": {
            "docs": "where is that described; where can i read that",
            "deploy_space": "and on hugging face; or as a space",
            "replicas": "and several of them; how do i run more than one",
            "metrics": "is there a health check; how do i monitor it",
        },
        "metrics": {
            "logs": "and logs; where does it log to",
            "api_keys": "does the scraper need a key",
        },
        "replicas": {
            "proxy": "what goes in front; how do i set up nginx",
            "metrics": "how do i watch them all; how do i monitor them",
        },
        "proxy": {
            "sign_in": "and a login; how do i add a password there",
            "replicas": "and two apps behind it; can it balance several",
        },
        "limits": {
            "settings_where": "where is that set; in which file",
            "replicas": "and for a thousand people; how do i serve more people",
        },
        "language": {
            "choose_model": "how do i pick one that can; which model speaks german",
            "system_prompt": "can i tell it to always answer in german",
        },
        "keyboard": {"stop_reply": "and to stop a reply; how do i interrupt you then"},
        "looks": {
            "keyboard": "is there a key for it; are there shortcuts",
            "change_host": "how does my phone reach it; how do i open it there",
        },
        "regenerate": {
            "seed": "i get the same one again; how do i make it different",
            "edit_message": "and to change my question; can i fix my question first",
        },
        "edit_message": {
            "undo": "and to remove it; can i take it back instead",
            "regenerate": "and only a new reply; and without changing it",
        },
        "undo": {"edit_message": "and to change it instead; can i correct it instead"},
        "stop_reply": {
            "cut_off": "and how do i go on from there; how do i continue then",
            "regenerate": "and then a new try; how do i get another one",
        },
        "offline": {
            "requirements": "what do i need for that",
            "choose_model": "with a larger model too; and other models",
        },
        "cost": {"licence": "may i use it at work; and in a product; can i sell it"},
        "licence": {
            "cost": "so it is free; do i pay",
            "docs": "where is the code explained; where do i read more",
        },
        "requirements": {
            "start_app": "good, how do i start it; i have all that, now what; ok, and then",
            "gpu_node": "i have a gpu, is it used; will it use my gpu",
            "cost": "and money; does it cost",
        },
        "status_line": {
            "ttft": "what is the first number; and the first one",
            "what_hop": "what are the hops; and hops",
            "slow_reply": "the number is low; how do i raise the speed",
            "what_kv_cache": "what is remembered there",
        },
        "system_prompt": {
            "settings_where": "where is the default set; in which file",
            "presets": "can i keep it with my settings",
        },
        "generate_cli": {
            "use_api": "and from a program; in python, how",
            "own_swarm": "which address; i have no swarm yet",
        },
        "swarm_status": {
            "missing_node": "one block is missing; it shows a gap; block 3 has nobody",
            "add_node": "how do i get more in there; and to add one",
        },
        "run_tests": {"docs": "where is that described; is there a document on it"},
        "file_format": {
            "hub_models": "where do i get those; are they on the hub",
            "families": "which models work",
        },
        "petals": {"join_swarm": "how do i join such a swarm; and to use one of theirs"},
        "text_only": {
            "choose_model": "can another model do that; is there a model that can",
            "context_length": "how much text can i paste; how long may it be",
        },
    }.items()
}
